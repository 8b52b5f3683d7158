"""Why a variant is as fast, as large and as exact as it is: a few sentences of measured facts. Reads a record; decides no verdict.

What was not measured is said to be so; nothing is guessed from a technique's name. The rule behind regimes is in engine/answers/regimes.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.answers.outputs import Output, outputs
from engine.answers.regimes import Regime, profile_of, regimes, shown_facts
from engine.metrics import METRICS, format_bytes, format_seconds
from engine.record import Record
from engine.registry import discover
from engine.technique import Slot

if TYPE_CHECKING:
    from engine.analysis import Row

_DEQUANTIZES = re.compile("dequant", re.IGNORECASE)
# What times one call of the whole work, and what such calls are.
_WHOLE = {"generation_seconds": "generations", "step_seconds": "training steps", "forward_seconds": "calls"}
_PARTS = {
    "peak_weight_bytes": "weights", "peak_gradient_bytes": "gradients", "peak_optimizer_bytes": "the optimizer",
    "peak_activation_bytes": "activations", "peak_other_bytes": "other tensors",
}  # fmt: skip
_LIMITS = {
    "bandwidth-bound": "is bandwidth-bound", "compute-bound": "is compute-bound", "launch-bound": "is launch-bound",
    "undecided": "is limited by none of the ceilings alone",
    "beyond": "is faster than a ceiling, which was disturbed or is not the one that holds, so nothing is concluded",
}  # fmt: skip


@dataclass(frozen=True)
class Why:
    """The explanation of one variant. regimes: empty where they are not measured. limits: the same in words, or why there are none.
    facts: all else."""

    variant: str
    position: int
    regimes: tuple[Regime, ...]
    limits: tuple[str, ...]
    facts: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        return (*self.limits, *self.facts)


def explain(record: Record, rows: Sequence[Row]) -> list[Why]:
    """One for each variant, in order. rows: engine.analysis.rows of the record."""
    answers = outputs(record)
    return [_why(record, position, rows, answers) for position in range(len(record["variants"]))]


def said(explained: Sequence[Why]) -> tuple[list[str], dict[str, list[str]]]:
    """(what holds for all variants, {variant: what else is said of it}): where a table says the limits, only the facts beside them."""
    sentences = [w.facts if w.regimes else w.sentences for w in explained]
    common = [s for s in sentences[0] if len(sentences) > 1 and all(s in other for other in sentences)] if sentences else []
    return common, {w.variant: [s for s in own if s not in common] for w, own in zip(explained, sentences, strict=True)}


def _why(record: Record, position: int, rows: Sequence[Row], answers: Sequence[Output]) -> Why:
    name = record["variants"][position]["name"]
    own = [r for r in rows if r.position == position]
    if not any(r.value is not None for r in own):
        worst = next((r for r in own if r.reason), None)
        return Why(name, position, (), (), (f"Nothing of it was measured{f': {worst.reason}' if worst else ''}.",))
    found = regimes(record, position, rows)
    listed = () if isinstance(found, str) else tuple(found)
    facts = [
        *_kernels(record, position), *_dequantization(record, position), *_compilation(position, rows),
        *_memory(own), *_energy(record, position, own), *_answer(record, answers[position]),
    ]  # fmt: skip
    return Why(name, position, listed, tuple(_limits(found, own)), tuple(facts))


def _limits(found: list[Regime] | str, own: Sequence[Row]) -> Iterable[str]:
    """Of each phase its first point, and its last one where another limit holds there."""
    if isinstance(found, str):
        shares = [r for r in own if r.metric == "ceiling_share" and r.value is not None]
        if shares:
            best = max(shares, key=lambda r: r.value or 0.0)
            yield f"It reaches at most {_percent(best.value or 0.0)} of the matrix-product ceiling, at {best.point_label}."
        else:
            yield f"What limits its speed is not measured: {found}."
        return
    for phase in dict.fromkeys(r.phase for r in found):
        of_phase = [r for r in found if r.phase == phase]
        several = len(of_phase) > 1
        yield _limit(of_phase[0], several)
        if of_phase[-1].word != of_phase[0].word:
            yield _limit(of_phase[-1], several)


def _limit(r: Regime, several: bool) -> str:
    where = f" at {r.point_label}" if several else ""
    facts = [f"computes at {_rate(r.flops, 'FLOP')}, {_percent(r.flops_share)} of the matrix-product ceiling"]
    if r.bytes is not None and r.bytes_share is not None:
        facts.insert(0, f"reads weights and cache at {_rate(r.bytes, 'B')}, {_percent(r.bytes_share)} of the copy bandwidth")
    if r.launch_share is not None:
        facts.append(f"starting its operators alone takes at least {_percent(r.launch_share)} of the time")
    if r.waiting is not None:
        facts.append(f"in the profile no kernel or operator ran for {_percent(r.waiting)} of the time")
    text = f"{r.phase[0].upper()}{r.phase[1:]}{where} {_LIMITS[r.word]}: it {'; '.join(facts)}."
    if r.word == "undecided" and r.waiting is None:
        text += " The rest is slow kernels or waiting, which only a profile tells apart."
    return text


def _kernels(record: Record, position: int) -> Iterable[str]:
    attention = (shown_facts(record, position, "model") or {}).get("attention")
    if isinstance(attention, str):
        yield f"The model's attention ran as {attention}."
    profile = profile_of(record, position)
    if profile is None or not profile.total_seconds:
        return
    if profile.kernels:
        first = profile.kernels[0]
        yield f"Its largest kernel is {first.name}: {_percent(first.seconds / profile.total_seconds)} of the kernels' time."
    elif profile.operators:
        operator = profile.operators[0]
        yield f"Its largest operator is {operator.name}: {_percent(profile.seconds(operator) / profile.total_seconds)} of the operators' time."


def _dequantization(record: Record, position: int) -> Iterable[str]:
    """Only of variants with quantized weights."""
    known = discover().techniques
    names = [t["technique"] for t in record["variants"][position]["stack"]]
    if not any(n in known and known[n].slot is Slot.WEIGHTS for n in names):
        return
    profile = profile_of(record, position)
    if profile is None or not profile.total_seconds:
        yield "Its share of dequantization is not measured: there is no profile of it."
        return
    parts = [(k.name, k.seconds) for k in profile.kernels] if profile.kernels else [(o.name, profile.seconds(o)) for o in profile.operators]
    found = [seconds for name, seconds in parts if _DEQUANTIZES.search(name)]
    if found:
        yield f"Dequantization takes {_percent(sum(found) / profile.total_seconds)} of the time in its profile."
    else:
        yield f"None of the {len(parts)} largest kernels or operators of its profile dequantizes by its name: what is fused into a product is not told apart."


def _compilation(position: int, rows: Sequence[Row]) -> Iterable[str]:
    """After how much work the longer first call is paid back, against the baseline of the same experiment."""
    at = {(r.position, r.metric, r.point_label): r for r in rows if r.value is not None}
    compiled = next((r for r in rows if r.position == position and r.metric == "compile_seconds" and r.value), None)
    first = next((r for r in rows if r.position == position and r.metric == "first_call_seconds" and r.value), None)
    base = next((r.position for r in rows if r.baseline), None)
    if compiled is None or first is None or base is None or base == position:
        return
    whole = next((name for name in _WHOLE if (position, name, first.point_label) in at), None)
    missing = whole is None or any((base, name, first.point_label) not in at for name in (whole, "first_call_seconds"))
    if missing or whole is None:
        yield f"It compiles for {format_seconds(compiled.value or 0.0)}; after how much work that is paid back is not measured."
        return
    ours, theirs = at[position, whole, first.point_label], at[base, whole, first.point_label]
    extra = (first.value or 0.0) - (at[base, "first_call_seconds", first.point_label].value or 0.0)
    gain = (theirs.value or 0.0) - (ours.value or 0.0)
    spent = f"Its first call takes {format_seconds(extra)} longer than the baseline's (compiling: {format_seconds(compiled.value or 0.0)})"
    if extra <= 0:
        yield f"It compiles for {format_seconds(compiled.value or 0.0)}, and its first call takes no longer than the baseline's."
    elif gain <= 0 or ours.verdict != "better":
        yield f"{spent}; no gain was shown that would pay it back."
    else:
        yield f"{spent}, which is paid back after {_work(extra / gain, whole, first)}."


def _work(calls: float, whole: str, at: Row) -> str:
    tokens = int(at.point.get("batch", 1)) * int(at.point.get("new_tokens", 0))
    return f"{calls * tokens:,.0f} new tokens" if tokens else f"{calls:,.1f} {_WHOLE[whole]}"


def _memory(own: Sequence[Row]) -> Iterable[str]:
    """Where the largest peak is, and what holds most of it. Nothing of workloads that have no such peak."""
    peak = max((r for r in own if r.metric == "peak_memory_bytes" and r.value), key=lambda r: r.value or 0.0, default=None)
    if peak is None or peak.value is None:
        if reason := next((r.reason for r in own if r.metric == "peak_memory_bytes" and r.reason), None):
            yield f"Its peak of memory is not measured: {reason}."
        return
    loading = next((r.value for r in own if r.metric == "load_peak_memory_bytes" and r.value), None)
    parts = {_PARTS[r.metric]: r.value for r in own if r.metric in _PARTS and r.point_label == peak.point_label and r.value}
    if not parts:
        parts = {
            METRICS[r.metric].label.replace("Weights", "weights"): r.value for r in own
            if r.metric in ("weight_bytes", "kv_cache_bytes") and r.value and r.point_label in ("", peak.point_label)
        }  # fmt: skip
    of = max(parts, key=lambda name: parts[name] or 0.0, default=None)
    holds = f", {_percent((parts[of] or 0.0) / peak.value)} of it {of}" if of else ""
    if loading is not None and loading > peak.value:
        yield f"Its memory peaks while loading, at {format_bytes(loading)}; at work it peaks at {format_bytes(peak.value)}{holds}."
    else:
        yield f"Its memory peaks at work, at {format_bytes(peak.value)}{holds}."


def _energy(record: Record, position: int, own: Sequence[Row]) -> Iterable[str]:
    """Nothing where the runs did not try: earlier versions, and workloads that have no such metric."""
    rows = [r for r in own if METRICS[r.metric].kind == "energy"]
    if measured := next((r for r in rows if r.value is not None), None):
        yield f"It takes {METRICS[measured.metric].format(measured.value)} above idle per token, measured by NVML ({measured.point_label})."
        return
    details = [r["details"] or {} for r in record["runs"] if r["variant"] == position and r["kind"] == "speed"]
    reasons = [r.reason for r in rows] + [d["energy"].get("not_measured") for d in details if isinstance(d.get("energy"), dict)]
    if reason := next(filter(None, reasons), None):
        yield f"Its energy is not measured: {reason}."


def _answer(record: Record, output: Output) -> Iterable[str]:
    """Of workloads that generate; against the baseline."""
    workload = discover().workloads.get(record["experiment"]["spec"]["workload"]["name"])
    if output.baseline or workload is None or not workload.generates:
        return
    if output.answer is None:
        yield f"Whether it answers as the baseline does is not measured: {output.problem}."
    elif output.diverges_at is None:
        yield f"The first {len(output.answer.ids)} greedy tokens are identical to the baseline's."
    else:
        yield f"Its greedy answer leaves the baseline's at token {output.diverges_at + 1} of {len(output.answer.ids)}."


def _percent(share: float) -> str:
    """Two significant digits: 0.712 -> '71 %', 0.0034 -> '0.34 %'."""
    return f"{share * 100:.0f} %" if share >= 0.1 else f"{share * 100:.2g} %"


def _rate(value: float, unit: str) -> str:
    """1000-based: 3.1e12 FLOP -> '3.1 TFLOP/s'."""
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}/s"
    return f"{value:.3g} {unit}/s"
