"""The claims with what was measured, cached by experiment, and the frames of their page. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import store
from dashboard.words import CLAIM_VERDICT
from db.filter import Filter
from engine import references, settings
from engine.answers.claim_verdicts import Assessment, Evidence, assess, evidence
from engine.answers.claim_words import claimed_text, measured_text
from engine.answers.claims import Claim, claims
from engine.record import Record

NEWEST = 200
"""So many experiments of this installation are looked through; each is read once and again only when it changes."""

Found = dict[str, Evidence]


def assessed() -> list[Assessment]:
    """Every claim held against the reference results and the newest experiments of this installation."""
    stamps = tuple((p.name, p.stat().st_mtime_ns) for p in sorted(references.FOLDER.glob("*.json")))
    parts = [_of_references(stamps), *(_of_experiment(settings.database_url(), i, store.token(i)) for i in _own())]
    result = []
    for claim in claims():
        total = Evidence()
        for part in parts:
            if claim.id in part:
                total.extend(part[claim.id])
        result.append(assess(claim, total))
    return result


def _own() -> list[str]:
    tested = {c.settle.workload for c in claims() if c.settle}
    recent = store.experiments(Filter(size=NEWEST))
    return list(recent[(recent["source"] != "reference") & (recent["succeeded"] > 0) & recent["workload"].isin(tested)]["id"])


@st.cache_data(max_entries=1, show_spinner=False)
def _of_references(stamps: tuple[tuple[str, int], ...]) -> Found:
    total: Found = {}
    for record in references.load_references()[0]:
        for name, found in _evidence(record, own=False).items():
            total.setdefault(name, Evidence()).extend(found)
    return total


@st.cache_data(max_entries=2 * NEWEST, show_spinner=False)
def _of_experiment(url: str, experiment_id: str, token: str) -> Found:
    record = store.load(url, experiment_id, "quality", token)
    return _evidence(record, own=True) if record is not None else {}


def _evidence(record: Record, *, own: bool) -> Found:
    try:
        found = {c.id: evidence(c, record, own=own) for c in claims()}
    except ValueError:  # another version wrote it: its own page says so
        return {}
    return {name: one for name, one in found.items() if one != Evidence()}


def overview(shown: Sequence[Assessment]) -> pd.DataFrame:
    """One row per claim; a column for each hardware that any of them was measured on, this installation's first."""
    places = sorted({(not own, hardware) for a in shown for own, hardware, _, _ in a.by_hardware()})
    rows = []
    for a in shown:
        there = {(not own, hardware): f"{measured_text(a.claim, m)} · {CLAIM_VERDICT[word]}" for own, hardware, word, m in a.by_hardware()}
        rows.append(
            {"Claim": a.claim.statement, "Verdict": CLAIM_VERDICT[a.verdict], "Claimed": claimed_text(a.claim)}
            | {place_text(not foreign, hardware): there.get((foreign, hardware), "") for foreign, hardware in places}
            | {"Published": "; ".join(published_texts(a.claim)), "Conditions": a.claim.conditions, "Remark": a.reason or ""}
        )  # fmt: skip
    return pd.DataFrame(rows)


def measurements(a: Assessment) -> pd.DataFrame:
    """One row per measurement behind a claim."""
    ordered = sorted(a.measurements, key=lambda m: (not m.own, m.hardware, m.title))
    return pd.DataFrame({
        "Variant": [m.variant for m in ordered], "Against": [m.baseline or "" for m in ordered], "At": [m.point for m in ordered],
        "Measured (95 % interval)": [measured_text(a.claim, m) for m in ordered], "Verdict": [CLAIM_VERDICT[m.verdict] for m in ordered],
        "Rounds": [m.n_rounds for m in ordered], "Hardware": [place_text(m.own, m.hardware) for m in ordered],
        "Experiment": [m.title for m in ordered],
    })  # fmt: skip


def place_text(own: bool, hardware: str) -> str:
    return f"Here: {hardware}" if own else f"Reference: {hardware}"


def published_texts(claim: Claim) -> list[str]:
    """'1.8 to 2.6 [R2] arXiv …', one for each published number."""
    return [f"{p.value} [{p.tag}] {p.source}" for p in claim.published]
