"""The parts of the form of a new experiment, each a block of widgets over st.session_state; engine/api.py has the facts."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import forms, pages, words
from dashboard.new import draft
from dashboard.new.attempt import Attempt
from engine import settings
from engine.devices import Device
from engine.footprint import BYTES
from engine.technique import SLOT_ORDER

KINDS = ("cpu", "cuda")


def problem(made: Attempt, *fields: str) -> None:
    """Below a field: what is wrong with it."""
    for field in fields:
        if text := made.problems.get(field):
            st.markdown(f":red[:material/error: {words.escape(text)}]")


def model(models: list[dict[str, Any]], made: Attempt) -> None:
    rows = {m["name"]: m for m in models}

    def label(name: str) -> str:
        return name if name == draft.OTHER_MODEL else f"{rows[name]['label']} ({words.parameters_text(rows[name]['parameters'])})"

    chosen = st.selectbox("Model", [*rows, draft.OTHER_MODEL], format_func=label, key="new_model", persist_state="session")
    if chosen == draft.OTHER_MODEL:
        st.text_input("Name", key="new_model_text", placeholder="local:my-model or hub:organisation/name@commit", persist_state="session")
        st.caption(words.escape(f"local: a folder in {settings.local_models_dir()} with safetensors. hub: at a 40-digit commit."))
        problem(made, "model")
        return
    row = rows[str(chosen)]
    problem(made, "model")
    size = ""
    if row["dtype"] and row["parameters"]:
        weights = words.value_text("weight_bytes", row["parameters"] * BYTES[row["dtype"]])
        size = f"Stored as {row['dtype']}, weights {weights}."
    st.caption(words.escape(f"{size} {row['note']}"))


def device(devices: list[Device], made: Attempt) -> None:
    known = {d.key: f"{d.name}, {words.value_text('weight_bytes', d.memory_bytes)} ({d.key})" for d in devices}
    there = {d.kind for d in devices}

    def label(wanted: str) -> str:
        return known.get(wanted) or f"any {wanted}" + ("" if wanted in there else " (none is here now)")

    options = list(dict.fromkeys([*KINDS, *known, st.session_state["new_device"]]))
    st.selectbox("Device", options, format_func=label, key="new_device", persist_state="session",
                 help="All rounds of an experiment stay on one device of one machine.")  # fmt: skip
    problem(made, "device")


def techniques(techniques: list[dict[str, Any]], reasons: dict[str, str | None]) -> None:
    st.caption("Tick techniques, then add them: as one variant, or one variant each. What cannot run there says why.")
    # in the order in which they act on a model
    for family in dict.fromkeys(t["family"] for t in sorted(techniques, key=lambda t: SLOT_ORDER[t["slot"]])):
        st.markdown(f"##### {words.escape(family.capitalize())}")
        _family([t for t in techniques if t["family"] == family], reasons)
    with st.container(horizontal=True):
        st.button("Add as one variant", icon=":material/layers:", on_click=draft.add_variants, args=(techniques,), kwargs={"together": True})
        st.button("Add one variant each", icon=":material/splitscreen:", on_click=draft.add_variants, args=(techniques,), kwargs={"together": False})
    if text := st.session_state.get("new_stack_problem"):
        st.error(words.escape(text))


def _family(rows: list[dict[str, Any]], reasons: dict[str, str | None]) -> None:
    """Those that can be chosen in two columns; below them those that cannot, with each reason once."""
    there = [row for row in rows if reasons.get(row["name"]) is None]
    for column, part in zip(st.columns(2), (there[::2], there[1::2]), strict=True):
        with column:
            for row in part:
                _card(row)
    why = {str(reasons[row["name"]]): [r for r in rows if reasons.get(r["name"]) == reasons[row["name"]]] for row in rows if row not in there}
    for reason, without in why.items():
        with st.container(gap=None):
            with st.container(horizontal=True):
                for row in without:
                    st.session_state[draft.used_key(row["name"])] = False  # it may have been ticked for another device, model or workload
                    st.checkbox(row["label"], key=draft.used_key(row["name"]), disabled=True, help=words.escape(row["summary"]))
            st.caption(words.escape(f"⊘ Cannot run there: {reason}"))


def _card(row: dict[str, Any]) -> None:
    """A name with its sentence; the options of one that is ticked below it."""
    with st.container(gap=None):
        key = draft.used_key(row["name"])
        ticked = st.checkbox(row["label"], key=key, persist_state="session", help=words.escape(row["costs"]))
        st.caption(words.escape(row["summary"]))
    if ticked:
        with st.container(border=True):
            forms.fill(row["options"], draft.technique_key(row["name"]), {}, st.session_state, overwrite=False)
            forms.draw(row["options"], draft.technique_key(row["name"]))
            pages.link("catalogue", "How it works", {"technique": row["name"]})


def baseline(made: Attempt) -> None:
    choices = [draft.AS_STORED, *(v["name"] for v in st.session_state["new_variants"])]
    if st.session_state["new_baseline"] not in choices:
        st.session_state["new_baseline"] = draft.AS_STORED
    st.selectbox("Baseline", choices, key="new_baseline", persist_state="session",
                 help="What every other variant is compared with. It is measured in every round, without being asked for.")  # fmt: skip
    problem(made, "baseline", "variants")


def workload(workloads: list[dict[str, Any]], made: Attempt) -> None:
    names = {w["name"]: w["label"] for w in workloads}
    chosen = st.selectbox("Workload", list(names), format_func=names.__getitem__, key="new_workload", persist_state="session")
    row = next(w for w in workloads if w["name"] == chosen)
    st.caption(words.escape(row["summary"]))
    problem(made, "workload", "dataset")
    forms.draw(row["options"], draft.workload_key(row["name"]), columns=3, problems=made.of("workload"))
    st.number_input("Rounds", 1, 50, value=None, key="new_rounds", persist_state="session", help="At least 3 for a verdict; 5 are better.")
    problem(made, "rounds")
    st.toggle("Profile a few steps of each variant", key="new_profile", persist_state="session", help="In a run of its own, so that no timing is disturbed.")
    st.checkbox("Measure the baseline twice", key="new_control", persist_state="session",
                help="A check of the measurement, for at least 5 rounds: where the baseline differs from itself, all timings are unreliable.")  # fmt: skip
    problem(made, "control")
    st.checkbox("Stop as soon as every speed has an answer", key="new_stop_early", persist_state="session",
                help="Looks after 5, 10, … rounds, each at a stricter level, so that a verdict is as sure as without it. For more than 5 rounds.")  # fmt: skip
    problem(made, "stop_early")
    with st.expander("Seed, threads, time limit"):
        st.number_input("Seed", 0, 2**31 - 1, value=None, key="new_seed", persist_state="session")
        problem(made, "seed")
        st.number_input("CPU threads", 1, 1024, value=None, key="new_threads", persist_state="session", placeholder="all usable cores")
        problem(made, "threads")
        st.number_input("Time limit of one run, seconds", 1, 86_400, value=None, key="new_timeout", persist_state="session")
        problem(made, "timeout")
