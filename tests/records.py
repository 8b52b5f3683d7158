"""Builds records for tests, in the shape of engine/record.py and db/queries.record, from a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from engine.measurement import Measurement, Point, Status
from engine.metrics import METRICS
from engine.record import Record, new_record
from engine.specs import ExperimentSpec, forwards

ONCE = ("load_seconds", "weight_bytes", "bits_per_parameter", "load_peak_memory_bytes")
POINT: Point = {"batch": 1, "prompt_tokens": 128, "new_tokens": 64}
TEXT: Point = {"text": "wikitext2-test", "tokens": 4096, "context": 1024}
DEVICE = "cpu:test-machine"

Value = float | Status | None


def build_record(
    variants: Mapping[str, Mapping[str, Sequence[Value]]],
    *,
    quality: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    runs: dict[tuple[str, int], dict[str, Any]] | None = None,
    quality_runs: dict[str, dict[str, Any]] | None = None,
    title: str = "An experiment",
    experiment_id: str = "test-experiment-000001",
) -> Record:
    """A record whose first variant is the baseline.

    variants: {name: {metric: [value of round 0, of round 1, ...]}}. A value may be None (that run did not measure it) or a
    Status (the point ended so). "ttft_seconds@4" is the metric at batch 4; batch 1 without it.
    quality: {name: {metric: its samples}}; every variant then has a quality run, empty ones succeed without measuring.
    runs, quality_runs: fields of single runs to replace, by (name, round) and by name: {"status": "failed", "reason": ...}.
    """
    names = list(variants)
    rounds = max((len(values) for metrics in variants.values() for values in metrics.values()), default=1)
    spec = ExperimentSpec.model_validate({
        "title": title, "model": "smollm2-135m", "rounds": max(rounds, 1), "baseline": names[0],
        "variants": [{"name": n, "stack": []} for n in names],
    })  # fmt: skip
    record = new_record(spec)
    record["experiment"] |= {"id": experiment_id, "bound_device": DEVICE, "created_at": "2026-01-02T03:04:05Z"}
    record["environments"] = {"e" * 64: {"device": "a test machine", "packages": {"torch": "2.13.0"}}}
    for round_ in range(rounds):
        order = list(enumerate(names))
        for position, name in order if forwards(round_) else reversed(order):
            measured = [_speed(metric, values, round_) for metric, values in variants[name].items()]
            _add(record, position, round_, "speed", [m for m in measured if m], (runs or {}).get((name, round_), {}))
        if round_ == 0 and quality is not None:
            for position, name in order:
                found = [_quality(metric, samples) for metric, samples in quality.get(name, {}).items()]
                _add(record, position, 0, "quality", found, (quality_runs or {}).get(name, {}))
    return record


def _speed(key: str, values: Sequence[Value], round_: int) -> Measurement | None:
    metric, _, batch = key.partition("@")
    value = values[round_] if round_ < len(values) else None
    point: Point = {} if metric in ONCE else POINT | {"batch": int(batch or 1)}
    if isinstance(value, Status):
        return Measurement(metric, point, status=value, reason=f"batch {batch or 1}: {value.value}")
    return None if value is None else Measurement(metric, point, samples=(value,), warmups=(value * 2,))


def _quality(metric: str, samples: Sequence[float]) -> Measurement:
    mean = sum(math.log(s) for s in samples) / len(samples) if metric == "perplexity" else sum(samples) / len(samples)
    return Measurement(metric, dict(TEXT), tuple(samples), value=math.exp(mean) if metric == "perplexity" else mean)


def _add(record: Record, variant: int, round_: int, kind: str, measured: list[Measurement], changes: dict[str, Any]) -> None:
    assert all(m.metric in METRICS for m in measured)
    run = {
        "id": len(record["runs"]) + 1, "variant": variant, "round": round_, "kind": kind, "status": "succeeded", "reason": None,
        "device": DEVICE, "attempt": 1, "phase": None, "cancel": False, "started_at": "2026-01-02T03:04:05Z",
        "ended_at": "2026-01-02T03:04:15Z", "seconds": 10.0, "environment": "e" * 64, "evidence": {}, "details": {},
        "host_peak_bytes": 10**9, "log_tail": None,
        "measurements": [_json(m) for m in measured],
    }  # fmt: skip
    assert changes.keys() <= run.keys()
    record["runs"].append(run | changes)


def _json(m: Measurement) -> dict[str, Any]:
    return m.to_json() | {
        "status": m.status.value, "samples": list(m.samples), "warmups": list(m.warmups), "n_samples": len(m.samples),
    }  # fmt: skip
