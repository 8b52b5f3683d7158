"""How the form of a new experiment is filled: by what is usual, a preset, or an experiment that is cloned, perhaps with one change.

Says on top of the form what it came from and what differs by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import links, pages, store, words
from dashboard.new import draft
from engine.planning.changes import CHANGES, changed
from engine.presets import parse_spec, preset_names
from engine.specs import ExperimentSpec

EMPTY = "empty"
_SHOWN_CHANGES = 6

Row = dict[str, Any]


def begin(params: Mapping[str, str], workloads: list[Row], models: list[str], *, arrived: bool) -> None:
    """Fill the form once a visit, as the address says. What it asks in vain is said, and the form is filled as usual."""
    if arrived:
        for key in ("new_origin", "new_problem"):
            st.session_state.pop(key, None)
        try:
            _as_asked(params, workloads, models)
        except ValueError as error:
            st.session_state["new_problem"] = f"The form could not be filled as the link says: {error}"
    draft.begin(workloads, models, _preset(preset_names()[0]))


def _as_asked(params: Mapping[str, str], workloads: list[Row], models: list[str]) -> None:
    """Raises ValueError naming what is not there."""
    if params.get("preset"):
        name = links.text(params, "preset")
        if name not in preset_names():
            raise ValueError(f"preset={str(params['preset'])[:40]} is not one of {', '.join(preset_names())}")
        _fill_from_preset(str(name), workloads, models)
        return
    if not params.get("from"):
        return
    source = links.experiment_id(params, "from")
    record = store.record(source) if source else None
    if record is None or source is None:
        raise ValueError(f"there is no experiment {str(params['from'])[:40]}; it may have been deleted")
    before = parse_spec(record["experiment"]["spec"])
    after, problem = before, None
    if params.get("change"):
        try:
            after = changed(record, str(links.text(params, "change")))
        except ValueError as error:
            problem = str(error)
    spec = after.model_dump(mode="json")
    if after is before:
        spec |= {"title": f"{spec['title']} again"[:200]}
    draft.begin(workloads, models, spec, overwrite=True)
    draft.set_origin(draft.Origin(record["experiment"]["title"], before, source))
    if problem:
        raise ValueError(f"change={params['change'][:40]}: {problem}")


def _fill_from_preset(name: str, workloads: list[Row], models: list[str]) -> None:
    spec = _preset(name)
    draft.begin(workloads, models, spec, overwrite=True)
    draft.set_origin(draft.Origin(f"the preset {name}", parse_spec(spec)))


def _preset(name: str) -> Row:
    return dict(next(p["spec"] for p in store.catalogue()["presets"] if p["name"] == name))


def choose(workloads: list[Row], models: list[str]) -> None:
    """All presets by what they are about; typing finds one."""
    labels = {w["name"]: w["label"] for w in workloads}
    rows = {p["name"]: p for p in store.catalogue()["presets"]}
    order = sorted(rows, key=lambda n: (list(labels).index(rows[n]["spec"]["workload"]["name"]), preset_names().index(n)))

    def text(name: str) -> str:
        return "Nothing: an empty form" if name == EMPTY else f"{labels[rows[name]['spec']['workload']['name']]}: {rows[name]['title']} ({name})"

    def load() -> None:
        chosen = st.session_state["new_preset"]
        st.session_state.pop("new_problem", None)
        if chosen == EMPTY:
            draft.begin(workloads, models, None, overwrite=True)
            draft.set_origin(None)
        elif chosen is not None:
            _fill_from_preset(chosen, workloads, models)

    st.selectbox("Start from a preset", [*order, EMPTY], index=None, format_func=text, key="new_preset", on_change=load,
                 placeholder=f"{len(order)} presets; choose one or type to find it")  # fmt: skip


def banner(now: ExperimentSpec | None) -> None:
    """What the form came from and, as soon as it is whole, what differs. CHANGES are named, for a link may ask for one."""
    if problem := st.session_state.get("new_problem"):
        st.warning(words.escape(problem), icon=":material/warning:")
    origin = draft.origin()
    if origin is None:
        return
    found = origin.changes(now) if now is not None else None
    with st.container(border=True):
        count = "" if found is None else "no changes" if not found else f"{len(found)} change{'s' * (len(found) != 1)}"
        verb = "Cloned from" if origin.experiment_id else "From"
        st.markdown(f"{verb} **{words.escape(origin.label)}**{f': {count}' if count else ''}")
        for text in (found or [])[:_SHOWN_CHANGES]:
            st.caption(words.escape(f"• {text}"))
        if found and len(found) > _SHOWN_CHANGES:
            st.caption(f"and {len(found) - _SHOWN_CHANGES} more")
        if origin.experiment_id:
            pages.link("experiment", "Open the original", {"id": origin.experiment_id})


def link_params(experiment_id: str, change: str | None = None) -> dict[str, str]:
    """The address of the form, filled from an experiment, with a change of CHANGES."""
    assert change is None or change in CHANGES
    return {"from": experiment_id} | ({"change": change} if change else {})
