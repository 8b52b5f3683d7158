"""Claims and records by hand, for the tests of claims: one small claim file, and an experiment with two variants."""

from __future__ import annotations

import copy
from typing import Any

from engine.answers.claims import Claim
from engine.record import Record
from tests.records import build_record

BYTES: dict[str, Any] = {
    "id": "half-the-bytes", "statement": "It takes half of the bytes.", "where": "nowhere", "technique": "INT8", "metric": "weight_bytes",
    "quantity": "times less", "claimed": {"about": 2.0}, "conditions": "by hand",
    "settle": {"workload": "generation", "models": ["smollm2-135m"], "baseline": ["float32"], "variant": ["bnb_int8"]},
}  # fmt: skip
SPEED = BYTES | {"id": "twice-as-fast", "metric": "decode_tokens_per_second", "quantity": "times more"}


def claim(data: dict[str, Any] = BYTES, settle: dict[str, Any] | None = None, **changes: Any) -> Claim:
    changed = copy.deepcopy(data) | changes
    if settle:
        changed["settle"] |= settle
    return Claim.model_validate(changed)


def record(metric: str, baseline: list[Any], variant: list[Any], *, stacks: tuple[list[str], list[str]] = (["float32"], ["bnb_int8"]),
           hardware: str = "AMD EPYC", kind: str = "cpu", experiment_id: str = "test-experiment-000001") -> Record:  # fmt: skip
    """Two variants with these stacks, each measured once per round."""
    made = build_record({"base": {metric: baseline}, "other": {metric: variant}}, title="By hand", experiment_id=experiment_id)
    for one, stack in zip(made["variants"], stacks, strict=True):
        one["stack"] = [{"technique": name, "options": {}} for name in stack]
    made["environments"] = {"e" * 64: {"device": hardware, "device_kind": kind, "packages": {"torch": "2.13.0"}}}
    return made
