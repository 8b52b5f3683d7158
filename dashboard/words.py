"""The words of the pages: statuses, verdicts, changes and durations as text for people. Draws nothing.

A status or verdict is always an icon and a word, never a colour alone.
"""

from __future__ import annotations

import html
import re
import string
from typing import Any

from engine.metrics import METRICS
from engine.record import Record

NOT_MEASURED = "not measured"

STATUS = {
    "queued": "○ queued", "running": "▶ running", "succeeded": "✔ succeeded", "failed": "✖ failed",
    "out_of_memory": "⊘ did not fit (out of memory)", "timed_out": "✖ timed out", "cancelled": "◼ cancelled",
    "unsupported": "⊘ unsupported", NOT_MEASURED: "– not measured",
}  # fmt: skip
VERDICT = {
    "better": "▲ better", "worse": "▼ worse", "equivalent": "= equivalent", "no difference shown": "≈ no difference shown",
    "too few rounds": "… too few rounds", "not comparable": "? not comparable", "did not fit": "⊘ did not fit",
    "not paired": "… not paired: an estimate", "unreliable": "⚠ unreliable",
    "failed": "✖ failed", "unsupported": "⊘ unsupported", NOT_MEASURED: "– not measured", "baseline": "◆ baseline",
    "fidelity": "fidelity", "imported": "⇥ imported",
}  # fmt: skip
LIMIT = {
    "bandwidth-bound": "⇄ bandwidth-bound", "compute-bound": "✕ compute-bound", "launch-bound": "⏳ launch-bound",
    "undecided": "– none alone", "beyond": "? faster than a ceiling",
}  # fmt: skip
LIMIT_HELP = (
    "Shares of the time that each resource alone would need at its best, from ceilings that the same runs measured: a copy in memory, a large "
    "matrix product, the start of one operator. What needs half of the time limits. none alone: slow kernels or waiting, told apart by a "
    "profile only. faster than a ceiling: it was disturbed, or is not the one that holds."
)
VERDICT_HELP = (
    "better, worse: beyond the metric's margin and shown by the rounds. equivalent: the whole interval lies within the "
    "margin. no difference shown: too imprecise or too small to say. unreliable: the baseline, measured twice, differs from "
    "itself. At least 3 rounds are needed."
)
CLAIM_VERDICT = {
    "reproduced": "✔ reproduced", "compatible": "≈ compatible", "not reproduced": "✖ not reproduced",
    "estimate only": "… estimate only", "not comparable": "? not comparable", NOT_MEASURED: "– not measured",
}  # fmt: skip
CLAIM_HELP = (
    "reproduced: the 95 % interval lies inside the claimed range. compatible: it overlaps it, or measurements disagree. not reproduced: it "
    "lies outside. estimate only: a time without an interval decides nothing. not comparable: measured under other conditions. Counted bytes "
    "need no interval. A single number n claims n ± 10 %."
)
START_SCHEDULER = "No scheduler is running, so runs stay queued. Start one: `make run`, or `.venv/bin/python -m engine scheduler`"

_PUNCTUATION = re.compile(f"([{re.escape(string.punctuation)}])")


def escape(text: str) -> str:
    """Text that others wrote, as Markdown that shows it as it is, on one line."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def without_images(text: str) -> str:
    """Markdown that somebody wrote, to be shown as Markdown: a picture would be fetched from wherever it says by everybody who looks."""
    return text.replace("![", "!\\[")


def chart_text(text: str, longest: int = 40) -> str:
    """Text that others wrote, for a plotly label, which reads some HTML. Shortened in the middle: both ends tell variants apart."""
    text = " ".join(text.split())
    if len(text) > longest:
        text = f"{text[: longest // 2]}…{text[-(longest // 2 - 1) :]}"
    return html.escape(text, quote=False)


def number(value: Any) -> float | None:
    """A cell of a frame: None for NaN and None."""
    return None if value is None or value != value else float(value)


def value_text(metric: str, value: Any) -> str:
    return METRICS[metric].format(number(value))


def measured_text(metric: str, value: Any, low: Any, high: Any) -> str:
    """'30 tok/s (29 tok/s to 31 tok/s)'; without brackets where there is no interval, or one that is narrower than the digits shown."""
    text, ends = value_text(metric, value), [value_text(metric, end) for end in (low, high) if number(end) is not None]
    return f"{text} ({ends[0]} to {ends[1]})" if len(ends) == 2 and set(ends) != {text} else text


def count(number: int, thing: str) -> str:
    """'1 run', '1,200 runs'."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def change_text(ratio: Any) -> str:
    """Ratio to the baseline as a change: 0.25 -> '−75 %', 1.0 -> '±0 %', 2.4 -> '+140 %'. Empty where there is none."""
    ratio = number(ratio)
    if ratio is None:
        return ""
    change = (ratio - 1) * 100
    digits = f"{abs(change):,.0f}" if abs(change) >= 10 else f"{abs(change):.1f}"
    return "±0 %" if digits == "0.0" else f"{'+' if change > 0 else '−'}{digits} %"


def percent_text(fraction: float) -> str:
    """0.345 -> '34.5 %'."""
    return f"{fraction * 100:.1f} %"


def interval_text(low: Any, high: Any) -> str:
    """95 % interval of the change: '−76 % to −74 %'; empty where there is none."""
    first, last = change_text(low), change_text(high)
    return f"{first} to {last}" if first and last else ""


def p_text(p: float) -> str:
    """'0.34', '0.012', '< 0.001'."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def seconds_text(seconds: float) -> str:
    """How long something takes, as people say it: '40 s', '6 min', '2 h 5 min'."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def parameters_text(count: int | None) -> str:
    """134515008 -> '135 M parameters'."""
    if count is None:
        return "size known when it is loaded"
    return f"{count / 1e9:.3g} billion parameters" if count >= 1e9 else f"{count / 1e6:.3g} million parameters"


def moment_text(iso: str | None) -> str:
    """'2026-01-02T03:04:05Z' -> '2026-01-02 03:04 UTC'."""
    return f"{iso[:10]} {iso[11:16]} UTC" if iso else ""


def facts(record: Record) -> list[str]:
    """What was measured, in a few words each: model, device, rounds, when."""
    experiment, spec = record["experiment"], record["experiment"]["spec"]
    return [
        f"{spec['model']['source']} model {spec['model']['name']}", experiment["bound_device"] or experiment["device"],
        f"{spec['rounds']} round{'s' * (spec['rounds'] != 1)}", moment_text(experiment["created_at"]),
    ]  # fmt: skip


def run_status(run: dict[str, Any]) -> str:
    """Status of a run of a record; a running one that was asked to stop says so."""
    if run["status"] == "running" and run["cancel"]:
        return "◼ cancelling"
    return STATUS[run["status"]]


def experiment_status(counts: dict[str, int]) -> str:
    """One word for an experiment from how many of its runs have each status."""
    open_runs, total = counts.get("queued", 0) + counts.get("running", 0), sum(counts.values())
    if counts.get("running"):
        return f"▶ running, {total - open_runs} of {total} runs done"
    if open_runs:
        return f"○ queued, {total - open_runs} of {total} runs done"
    rest = [f"{counts[s]} {s.replace('_', ' ')}" for s in STATUS if s != "succeeded" and counts.get(s)]
    return "✔ finished" + (f": {', '.join(rest)}" if rest else "") if total else "no runs"
