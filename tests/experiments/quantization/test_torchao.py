"""torchao's weights: bytes as counted by hand, and what each device and stack is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.devices import Device, find_device
from engine.loading import load_session
from engine.memory import storage_bytes
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import unsupported_stack

MODEL = ModelSpec(source="local", name="tiny")
# of one of the tiny model's two layers, (rows, columns): q, k, v, o, gate, up, down
LAYER = [(64, 64), (32, 64), (32, 64), (64, 64), (128, 64), (128, 64), (64, 128)]
# int8 data, float32 scale and int8 zero point by row
INT8 = sum(r * c + r * 4 + r for r, c in LAYER)
# two weights to a byte, float32 scale and zero point by group of 32
INT4 = sum(r * c // 2 + r * (c // 32) * 2 * 4 for r, c in LAYER)


@pytest.mark.parametrize(
    ("name", "options", "bytes_of_layer"),
    [("torchao_int8_dynamic_activation_int8_weight", {}, INT8), ("torchao_int4_weight_only", {"group_size": 32}, INT4)],
)
def test_bytes_are_the_hand_counted_ones(name: str, options: dict[str, int], bytes_of_layer: int, tiny_model_root: Path) -> None:
    def counted(*names: str) -> int:
        stack = [discover().technique(n, options) for n in names]
        return storage_bytes(load_session(MODEL, stack, find_device("cpu"), 0, *[tiny_model_root] * 3).model)

    replaced = 2 * sum(r * c * 4 for r, c in LAYER)
    assert counted() - counted(name) == replaced - 2 * bytes_of_layer


@pytest.mark.parametrize(
    ("stack", "capability", "reason"),
    [
        (["torchao_float8"], None, "compute capability 8.9"),
        (["torchao_float8"], (8, 0), "compute capability 8.9"),
        (["torchao_float8"], (9, 0), None),
        (["torchao_int4_weight_only"], (7, 5), "compute capability 8.0"),
        (["float16", "torchao_int4_weight_only"], (9, 0), "bfloat16 only"),
        (["float16", "torchao_int4_weight_only"], None, None),
        (["bfloat16", "torchao_int4_weight_only"], (9, 0), None),
    ],
)
def test_devices(stack: list[str], capability: tuple[int, int] | None, reason: str | None) -> None:
    gpu = Device("cuda:0", "cuda", "a GPU", "here", 2**37, capability, "GPU-0")
    device = gpu if capability else find_device("cpu")
    said = unsupported_stack([discover().technique(n) for n in stack], device, MODEL, discover().workload("generation"))
    assert said is None if reason is None else reason in (said or "")
