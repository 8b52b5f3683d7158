"""What stands behind an experiment's numbers: red flags, runs, logs, evidence, options, environment. Draws; computes nothing."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import show, store, tables, words
from dashboard.controls import Controls
from engine.answers import red_flags as checks
from engine.metrics import METRICS
from engine.record import Record

_SEVERITY = {"warning": "▲ warning", "note": "• note", "idea": "+ idea"}


def red_flags(record: Record) -> None:
    """What the chapter warns of, as far as the record shows it. Nothing where it shows nothing."""
    flags = checks.red_flags(record)
    if not flags:
        return
    with st.expander(f"Red flags: {', '.join(flag.name for flag in flags)}", icon=":material/flag:"):
        for flag in flags:
            remedy = f"{flag.remedy} ({flag.technique})" if flag.technique else flag.remedy
            st.markdown(f"**{_SEVERITY[flag.severity]}: {words.escape(flag.name)}.** {words.escape(flag.evidence)}.")
            st.caption(words.escape(f"{flag.why} To try: {remedy}."))


def runs(record: Record, controls: Controls) -> None:
    """Every run with its reason, and the log of one of them."""
    show.table(tables.runs(record), "Every run with status and reason.", "runs")
    if not controls["log"]:
        st.caption("No run has begun yet.")
        return
    names = {
        str(r["id"]): f"run {r['id']}: {record['variants'][r['variant']]['name']}, {r['kind']}, round {r['round'] + 1}, {r['status']}" for r in record["runs"]
    }
    controls.select("log", "Log of", names.__getitem__)
    st.code(store.log_tail(record, int(controls["log"])) or "It printed nothing.", language=None, wrap_lines=True, height=320)


def evidence(record: Record) -> None:
    """What each technique showed of its effect, of each variant's first run that succeeded."""
    for position, variant in enumerate(record["variants"]):
        run = next((r for r in record["runs"] if r["variant"] == position and r["evidence"]), None)
        st.markdown(f"**{words.escape(variant['name'])}**: {words.escape(tables.options_text(variant['stack']))}")
        if run is None:
            st.caption("No run has shown anything yet.")
            continue
        for technique, shown in run["evidence"].items():
            facts = ", ".join(f"{k.replace('_', ' ')}: {_fact(v)}" for k, v in shown["facts"].items())
            st.caption(words.escape(f"{technique}: {shown['problem'] or facts}"))


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{v} x {k.rpartition('.')[2]}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def workload(record: Record) -> None:
    """Its options as they were, beside the defaults."""
    show.table(tables.workload(record["experiment"]["spec"]["workload"]), "Every option of the workload with its default.", "workload_options")


def environment(record: Record) -> None:
    """Hardware and software, and what went on beside the runs."""
    if record["environments"]:
        show.table(tables.environments(record["environments"]), "The facts of the environments that runs have reported.", "environments")
    else:
        st.caption("No run has reported its environment yet.")
    details = [r["details"] or {} for r in record["runs"]]
    others = [d["cpu_share_of_others"] for d in details if "cpu_share_of_others" in d]
    if others:
        st.caption(f"Share of the CPUs that other processes took during a run: {min(others):.1%} to {max(others):.1%}.")
    if contended := sorted({d["contended"] for d in details if d.get("contended")}):
        st.warning(words.escape(f"Some runs shared the device and are left out: {'; '.join(contended)}"))
    if throttled := sorted({d["throttled"] for d in details if d.get("throttled")}):
        st.warning(words.escape(f"Some runs were slowed down and their times are left out: {'; '.join(throttled)}"))
    if drifts := [text for r in record["runs"] if (text := _drifts(record, r))]:
        st.warning(words.escape(f"Some times drifted within their run, and are left out where other rounds show none of it: {'; '.join(drifts)}"))


def _drifts(record: Record, run: dict[str, Any]) -> str | None:
    """'small, round 2: time to first token +8 %'; None for a run without one."""
    found = (run["details"] or {}).get("drifting") or []
    changes = ", ".join(f"{METRICS[d['metric']].label.lower()} {words.change_text(1 + d['change'])}" for d in found if d["metric"] in METRICS)
    return f"{record['variants'][run['variant']]['name']}, round {run['round'] + 1}: {changes}" if changes else None
