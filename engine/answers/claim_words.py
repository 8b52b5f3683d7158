"""Claims in words for people, claimed range and measured number with the unit that they have in common, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.metrics import METRICS

if TYPE_CHECKING:
    from engine.answers.claim_verdicts import Assessment, Measurement
    from engine.answers.claims import Claim


def number_text(claim: Claim, value: float) -> str:
    """'3.4x', '−55 %', '3.87 GB': in the claim's unit. Bytes are decimal, as the chapter counts them."""
    if claim.quantity in ("times less", "times more"):
        return f"{value:,.0f}x" if value >= 100 else f"{value:.3g}x"
    if claim.quantity == "change":
        return f"{'−' if value < 0 else '+'}{abs(value) * 100:.3g} %" if value else "±0 %"
    metric = METRICS[claim.metric]
    return _decimal_bytes(value) if metric.unit == "bytes" else f"{value:,.0f}" if value >= 1000 and not metric.unit else metric.format(value)


def claimed_text(claim: Claim) -> str:
    """'3.6x to 4.4x less', 'at least 10x the speed': the range that counts as what was claimed."""
    low, high = claim.claimed.low, claim.claimed.high
    what = {"times less": " less", "times more": " as much", "change": " change", "value": "", "saved": " saved"}[claim.quantity]
    if claim.quantity in ("times less", "times more") and METRICS[claim.metric].kind == "speed":
        what = " the speed"
    if low is None:
        assert high is not None
        return f"at most {number_text(claim, high)}{what}"
    if high is None:
        return f"at least {number_text(claim, low)}{what}"
    first, last = number_text(claim, low), number_text(claim, high)
    return f"{first}{what}" if low == high else f"{first} to {last}{what}"


def measured_text(claim: Claim, measured: Measurement | None) -> str:
    """'3.94x', '0.99x (0.97x to 1.01x)'; 'not measured' where there is none."""
    if measured is None:
        return "not measured"
    text = number_text(claim, measured.estimate)
    if measured.low is None or measured.high is None or measured.low == measured.high:
        return text
    return f"{text} ({number_text(claim, measured.low)} to {number_text(claim, measured.high)})"


def _decimal_bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}" if value / size < 1000 else f"{value / size:,.0f} {unit}"
    return f"{value / 1e3:.3g} kB"


def document(found: Sequence[Assessment], link: Any) -> list[dict[str, Any]]:
    """What `claims --json` prints, a contract with other programs. link: experiment id -> address. ci: [low, high] or null."""
    return [
        {
            "id": a.claim.id, "statement": a.claim.statement, "conditions": a.claim.conditions,
            "published": [p.model_dump() for p in a.claim.published],
            "measured": a.shown.estimate if a.shown else None, "ci": _interval(a.shown), "verdict": a.verdict,
            "runs": [_run(m, link) for m in a.measurements],
            "reason": a.reason, "where": a.claim.where, "covers": list(a.claim.covers), "technique": a.claim.technique,
            "metric": a.claim.metric, "quantity": a.claim.quantity, "claimed": [a.claim.claimed.low, a.claim.claimed.high],
            "test": a.claim.test,
            "hardware": [
                {"hardware": hardware, "own": own, "verdict": verdict, "measured": m.estimate, "ci": _interval(m)}
                for own, hardware, verdict, m in a.by_hardware()
            ],
        }
        for a in found
    ]  # fmt: skip


def _interval(measured: Measurement | None) -> list[float] | None:
    return None if measured is None or measured.low is None or measured.high is None else [measured.low, measured.high]


def _run(m: Measurement, link: Any) -> dict[str, Any]:
    return {
        "experiment": m.experiment, "title": m.title, "variant": m.variant, "baseline": m.baseline, "point": m.point, "hardware": m.hardware,
        "own": m.own, "measured": m.estimate, "ci": _interval(m), "rounds": m.n_rounds, "verdict": m.verdict, "link": link(m.experiment),
    }  # fmt: skip
