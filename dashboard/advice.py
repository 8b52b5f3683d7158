"""The advisor's page in parts: its inputs, which the address holds, and one answer with its tables. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import links, pages, show, words
from engine.answers.advice import RELATION, Candidate, Group, Outcome
from engine.answers.advisor import Measured
from engine.answers.question import MEMORY_METRICS, OBJECTIVES, Question, bytes_of, fraction_of, point_of
from engine.metrics import METRICS

ANY = "any"
_USUAL = {
    "objective": "decode", "budget": "", "loss": "", "model": ANY, "device": ANY, "memory": "peak_memory_bytes", "point": "", "speed": "",
    "weights": ANY,
}  # fmt: skip
_WEIGHTS = {ANY: "shapes too, whose weights are random", "real": "real ones only"}


def ask(params: Mapping[str, str], measured: Sequence[Measured]) -> Question:
    """Draws the inputs, as the address says at first; the address then says what they are. Raises ValueError for what is mistyped."""
    models, devices = ([ANY, *sorted({getattr(m, name) for m in measured})] for name in ("model", "device"))
    choices: dict[str, Sequence[str]] = {"objective": list(OBJECTIVES), "model": models, "device": devices, "memory": MEMORY_METRICS, "weights": list(_WEIGHTS)}
    for name, usual in _USUAL.items():
        asked = links.text(params, name)
        known = asked is not None and asked in choices.get(name, (asked,))
        if asked is not None and not known:
            st.warning(words.escape(f"The link asked for {name}={asked}, which is not here."))
        st.session_state.setdefault(_key(name), asked if known else usual)
    _inputs(models, devices)
    given = {name: str(st.session_state[_key(name)]).strip() for name in _USUAL}
    pages.into_address(tuple(_USUAL), {name: value for name, value in given.items() if value != _USUAL[name]})
    return Question(
        objective=given["objective"], memory=given["memory"], max_memory_bytes=bytes_of(given["budget"]) if given["budget"] else None,
        max_quality_loss=fraction_of(given["loss"]) if given["loss"] else None, min_speed=_number(given["speed"]),
        point=point_of(given["point"]) if given["point"] else (), model=None if given["model"] == ANY else given["model"],
        device=None if given["device"] == ANY else given["device"], real_models=given["weights"] != ANY,
    )  # fmt: skip


def _inputs(models: Sequence[str], devices: Sequence[str]) -> None:
    first, second, third = st.columns(3)
    with first:
        st.selectbox("I want", list(OBJECTIVES), format_func=lambda name: OBJECTIVES[name][0], key=_key("objective"))
    with second:
        st.text_input("Memory budget", key=_key("budget"), placeholder="24GB", help="With its unit: GB is 10^9 bytes, GiB is 2^30. Empty for no limit.")
    with third:
        st.text_input("Quality loss at most", key=_key("loss"), placeholder="1%",
                      help="Perplexity or accuracy against the baseline. What was not measured does not pass. Empty for no limit.")  # fmt: skip
    first, second = st.columns(2)
    with first:
        st.selectbox("Model", models, key=_key("model"))
    with second:
        st.selectbox("Hardware", devices, key=_key("device"))
    with st.expander("Point, least speed, which memory, which models"):
        st.text_input("Only at the point", key=_key("point"), placeholder="batch=8")
        st.text_input("Throughput at least", key=_key("speed"), placeholder="100", help="In the workload's unit: tok/s, ex/s.")
        st.selectbox("The budget is about", MEMORY_METRICS, format_func=lambda name: METRICS[name].label, key=_key("memory"))
        st.selectbox("Models", list(_WEIGHTS), format_func=_WEIGHTS.__getitem__, key=_key("weights"))


def _key(name: str) -> str:
    return f"advise_{name}"


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise ValueError(f"min-speed: {text!r} is not a number; write 100") from None


def answer(group: Group, key: str) -> None:
    """One group: its answer in a sentence, the ranking, what fails and why, what is not measured, and where all of it comes from."""
    st.markdown(words.escape(group.sentence()))
    if group.ranked:
        show.table(_ranking(group), "The variants that meet every constraint, best first.", f"{key}_ranked")
        how = "the ratio to the baseline of the same round" if group.compared_by == "ratio" else "value, for the baseline has none here"
        st.caption(words.escape(f"Ranked by {how}. Two are told apart where their 95 % intervals do not overlap."))
    outcomes: tuple[tuple[Outcome, str, Sequence[Candidate]], ...] = (
        ("failed", "These fail a constraint", group.failed), ("not measured", "These cannot be recommended: something is not measured", group.not_measured),
    )  # fmt: skip
    for outcome, text, candidates in outcomes:
        if candidates:
            st.markdown(f"{text}:")
            frame = pd.DataFrame([(c.variant, "; ".join(check.text for check in c.failures(outcome))) for c in candidates], columns=["Variant", "Why"])
            show.table(frame, f"{text}.", f"{key}_{outcome}")
    for experiment, title in group.experiments.items():
        pages.link("experiment", title, {"id": experiment})


def _ranking(group: Group) -> pd.DataFrame:
    rows = []
    for place in group.ranked:
        found = place.candidate
        row: dict[str, Any] = {"Rank": place.rank, "Variant": found.variant}
        for name, measured in found.shown.items():
            row[METRICS[name].label] = " · ".join(_parts(name, measured))
        row["Against the first"] = RELATION[place.relation]
        row["95 % interval"] = words.interval_text(found.objective.ci_low, found.objective.ci_high) if found.objective else ""
        row["Rounds"] = found.objective.n_rounds if found.objective else 0
        row["Runs"] = ", ".join(f"{run['kind']} {run['round'] + 1}" + (f" ({run['id']})" if run["id"] else "") for run in found.runs)
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame[["Variant", *(c for c in frame.columns if c != "Variant")]]


def _parts(name: str, row: Any) -> list[str]:
    if row is None or row.value is None:
        return [words.VERDICT.get(row.verdict, row.verdict) if row else words.STATUS[words.NOT_MEASURED]]
    return [p for p in (words.value_text(name, row.value), words.change_text(row.ratio), words.VERDICT.get(row.verdict, row.verdict)) if p]
