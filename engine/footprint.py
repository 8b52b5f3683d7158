"""What decides how many bytes a run holds: each technique changes a copy of this, as it changes a ModelPlan before loading.

Owns the vocabulary between techniques, workloads and the memory planner. Arithmetic only: no torch, nothing measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.measurement import Point

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of a number."""


@dataclass(frozen=True)
class Packing:
    """How a quantization keeps linear layers.

    layer_bytes: (outputs, inputs) -> bytes of one packed weight with its scales. head: whether the output head is packed too.
    expanded: bytes a number of the layer at work, where its product is made from an expanded copy; 0 where a kernel reads it packed.
    product_bytes: bytes that each number of a product takes beside the product itself.
    """

    layer_bytes: Callable[[int, int], int]
    head: bool = False
    expanded: int = 0
    product_bytes: int = 0


@dataclass(frozen=True)
class Adapter:
    """Trained float32 matrices of one rank beside frozen layers of these names."""

    rank: int
    targets: tuple[str, ...]
    dropout: bool


def plain_cache(tokens: int, numbers: int, itemsize: int) -> int:
    """Bytes of one sequence's cache of so many tokens, each with so many numbers."""
    return tokens * numbers * itemsize


def adamw_state_bytes(shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes of AdamW's state of one parameter: momentum and variance in its own type, and a step count."""
    return 2 * math.prod(shape) * itemsize + 4


def whole_update(total: int, largest: int) -> int:
    """torch's foreach update, its default on a GPU: a denominator as large as all parameters is there at once."""
    return total


@dataclass(frozen=True)
class Footprint:
    """dtype: of what is not packed. autocast: products in 16 bit from float32 weights, whose 16-bit copies are kept for a forward pass.

    attention: auto is what transformers takes by itself; math holds the scores, fused never does.
    cached: bytes of a sequence's KV cache; None without one. grows: whether it is made anew, longer, for every token.
    state_bytes: (shape, bytes a number) -> the optimizer's bytes of one parameter on the device.
    update_bytes: (bytes of all trained parameters, of the largest) -> what the update takes for as long as it lasts.
    checkpoint_every: each n-th block keeps its input only; 0 for none. group: how ranks share a training; copies, or shards.
    unknown: why no formula covers it; None where one does.
    """

    dtype: str
    autocast: bool = False
    packing: Packing | None = None
    adapter: Adapter | None = None
    attention: Literal["auto", "eager", "math", "fused"] = "auto"
    cached: Callable[[int, int, int], int] | None = plain_cache
    grows: bool = True
    state_bytes: Callable[[tuple[int, ...], int], int] = adamw_state_bytes
    update_bytes: Callable[[int, int], int] = whole_update
    checkpoint_every: int = 0
    group: Literal["copies", "shards"] | None = None
    unknown: str | None = None

    def evolve(self, **changes: Any) -> Footprint:
        return replace(self, **changes)

    @property
    def prepared(self) -> bool:
        """Whether peft's preparation for k-bit training has made float32 of all that is not packed."""
        return self.packing is not None and self.adapter is not None


@dataclass(frozen=True)
class Load:
    """One point of a workload as memory sees it. batch: sequences at once over all ranks; length: tokens that go in at once;
    new: tokens that are then generated one by one; micro_batches: of an optimizer step, 0 where nothing is trained."""

    point: Point
    batch: int
    length: int
    new: int = 0
    micro_batches: int = 0


def four_bit_bytes(elements: int, block: int, nested_block: int | None) -> int:
    """bitsandbytes: half a byte a number and a scale for each block, in float32, or in 8 bit with a float32 scale for each nested block
    of those (QLoRA, https://arxiv.org/abs/2305.14314, section 3). The tables of what codes stand for are counted."""
    scales = math.ceil(elements / block)
    of_scales = 4 * scales if nested_block is None else scales + 4 * math.ceil(scales / nested_block) + _NESTED_CODE_BYTES
    return math.ceil(elements / 2) + of_scales + _CODE_BYTES


_CODE_BYTES, _NESTED_CODE_BYTES = 16 * 4, 256 * 4 + 4
"""One table with each 4-bit layer: 16 float32; with double quantization 256 more and a mean."""
