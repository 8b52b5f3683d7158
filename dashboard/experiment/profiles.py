"""The profiles of an experiment's variants on its page: shares, operators, and the trace where it is in reach. Computes nothing."""

from __future__ import annotations

import streamlit as st

from dashboard import pictures, show, words
from dashboard.charts import profile as charts
from dashboard.controls import Controls
from engine import artifacts
from engine.metrics import format_bytes, format_seconds
from engine.profiles import Profile, trace_name
from engine.record import Record


def section(record: Record, controls: Controls) -> None:
    """Nothing where no profile was asked for. A variant without one says why."""
    read = pictures.profiles(record)
    if not read:
        return
    st.header("Where the time goes", divider="gray")
    found = {name: p for name, p in read.items() if isinstance(p, Profile)}
    for name, why in read.items():
        if isinstance(why, str):
            st.caption(words.escape(f"No profile of {name}: {why}"))
    if not found:
        return
    st.caption("From a run of its own: a profiler slows what it watches, so compare shares, not seconds, and none of this with the speeds above.")
    if (shares := pictures.profile_shares(found, dark=show.dark())) is not None:
        show.picture(shares, "profile_shares")
    controls.select("profile", "Operators of", lambda position: str(record["variants"][int(position)]["name"]))
    name = str(record["variants"][int(controls["profile"])]["name"])
    if name not in found:
        st.caption(words.escape(f"There is no profile of {name}."))
        return
    _operators(name, found[name])
    _trace(record["experiment"]["id"], int(controls["profile"]), found[name])


def _operators(name: str, profile: Profile) -> None:
    steps = f"{profile.steps} times" if profile.steps > 1 else "once"
    text = f"{name}: {profile.what}, {steps}, {format_seconds(profile.step_seconds)} each under the profiler."
    if profile.shares_not_measured:
        text += f" Shares are not measured: {profile.shares_not_measured}."
    st.caption(words.escape(text))
    frame = charts.operator_frame(profile)
    figure = charts.operator_bars(frame, profile.device, dark=show.dark())
    words_of_it = charts.describe_operators(frame, profile)
    show.chart(figure, words_of_it, "profile_operators", lambda: charts.operator_table(frame, profile), open_twin=True)
    parts = charts.part_table(profile)
    if len(parts):
        show.table(parts, "Named regions of the step and, on a GPU, the kernels that ran.", "profile_parts")


def _trace(experiment_id: str, position: int, profile: Profile) -> None:
    trace = profile.trace
    if trace.sha256 is None:
        st.caption(words.escape(f"No trace was kept: {trace.absent or 'the run names none'}."))
        return
    name = trace_name(trace.sha256)
    try:
        there = artifacts.there(name)
    except OSError as error:
        st.caption(words.escape(f"The trace cannot be looked for: {error}"))
        return
    if there:
        st.download_button(
            f"Chrome trace ({format_bytes(trace.size_bytes)})", lambda: artifacts.read(name), file_name=f"trace_{experiment_id}_{position}.json.gz",
            mime="application/gzip", key="download_trace", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.caption("Open it in ui.perfetto.dev or chrome://tracing; both read it as it is.")
    else:
        st.caption("The trace is not here: it stays with the machine that measured where no common place is set (LAB_ARTIFACTS), and bundles "
                   "do not carry it.")  # fmt: skip
        st.code(f"artifacts/{name}", language=None, wrap_lines=True)
