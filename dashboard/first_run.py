"""What a newcomer can do at once: look at real results, run a short test here, see what this machine has. Draws; measures nothing."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import headlines, identity, pages, permissions, show, store, words
from engine import api
from engine.doctor import Finding, findings
from engine.presets import load_spec
from engine.specs import new_id

SHOWN_FIRST = "H200"
"""Of the project's own results a newcomer is shown those of this GPU."""
_SMOKE_TEST = "quickstart"


def cards(listed: pd.DataFrame, *, machine: bool = True) -> None:
    """listed: experiments with results. machine: also the way to what this machine has."""
    drawn = (_real_results, _smoke_test, *([_this_machine] if machine else []))
    for column, draw in zip(st.columns(len(drawn), border=True), drawn, strict=True):
        with column:
            draw(listed)


def _real_results(listed: pd.DataFrame) -> None:
    st.markdown("**Real results, now**")
    reference = listed[listed["source"] == "reference"]
    if reference.empty:
        st.caption("The project's own results are not here: restart with `make run`, or import the files in experiments/reference.")
        return
    gpu = reference[reference["hardware"].fillna("").str.contains(SHOWN_FIRST)]
    best = (gpu if len(gpu) else reference).sort_values("succeeded", ascending=False, kind="stable").iloc[0]
    st.caption(words.escape(f"Measured by the project on {best['hardware'] or best['device']}: {best['title']}. No GPU is needed to look at them."))
    if st.button(f"See results of an {SHOWN_FIRST}" if len(gpu) else "See the project's results", icon=":material/visibility:", key="first_results"):
        headlines.begin_again()
        pages.go("overview", {"results": best["id"]})


def _smoke_test(_: pd.DataFrame) -> None:
    spec = load_spec(_SMOKE_TEST)
    st.markdown("**A 60-second test of this machine**")
    st.caption(words.escape(f"{spec.model} on the CPU: {', '.join(v.name for v in spec.variants)}. The first results are there within a minute."))
    waiting = store.queue()
    if len(mine := waiting[waiting["title"] == spec.title]):
        pages.link("experiment", f"It runs: {len(mine)} runs are left", {"id": str(mine.iloc[0]["experiment_id"])})
        return
    key = st.session_state.setdefault("first_request", new_id())
    if st.button("Run it", icon=":material/play_arrow:", key="first_run", **permissions.control()):
        try:
            found = api.submit(permissions.database(), spec, request_key=key, owner=identity.current().name)
        except ValueError as error:
            st.error(words.escape(str(error)))
            return
        st.session_state.pop("first_request")
        pages.go("experiment", {"id": found})


def _this_machine(_: pd.DataFrame) -> None:
    st.markdown("**What this machine can do**")
    found = findings(store.machine())
    devices = [f.detail for f in found if f.kind == "device" and f.problem is None]
    of_techniques = [f for f in found if f.kind.startswith("technique")]
    available = {f.name for f in of_techniques if f.problem is None}
    st.caption(words.escape(f"{'; '.join(devices)}. {len(available)} of {len({f.name for f in of_techniques})} techniques can run here."))
    pages.link("start", "Check this machine")


def environment_check() -> None:
    """Everything that was looked for here; what is missing stands first, with the way to get it."""
    report = store.machine()
    found = findings(report)
    missing = [f for f in found if f.problem is not None]
    counts = f"Python {report['python']}; {len(found) - len(missing)} found, {len(missing)} missing on the machine that serves this page."
    st.caption(f"{words.escape(counts)} In a terminal: `.venv/bin/python -m engine doctor`.")
    what = st.segmented_control("Show", ["Missing", "Found"], default="Missing", required=True, key="machine_show", label_visibility="collapsed")
    shown = missing if what == "Missing" else [f for f in found if f.problem is None]
    show.table(_table(shown), f"What is {str(what).lower()} on this machine.", "machine")


def _table(found: list[Finding]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {"Name": f.name, "Kind": f.kind, "": "✔ found" if f.problem is None else "⊘ missing", "Detail": f.problem or f.detail} for f in found
    ]
    return pd.DataFrame(rows, columns=["Name", "Kind", "", "Detail"])
