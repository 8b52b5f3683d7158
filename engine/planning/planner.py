"""The memory planner: bytes of a run by component and the peak that PyTorch's allocator will count, from a config alone.

peak_memory_bytes is per GPU, the most of any rank. Weights, gradients and optimizer state are what "ZeRO" counts
(https://arxiv.org/abs/1910.02054, section 3.1), each by the formula of the technique that decides it (Technique.footprint); activations are
engine/planning/activations.py. Measures nothing, imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from engine.footprint import BYTES, Footprint, Load
from engine.modelspec import ModelSpec
from engine.planning.activations import LOSS_BYTES, PerToken
from engine.planning.architecture import Architecture, architecture
from engine.technique import Technique

WORKSPACE_BYTES = 32 * 2**20
"""cuBLAS takes it from the allocator for each thread that multiplies (https://docs.pytorch.org/docs/stable/notes/cuda.html, "cuBLAS
workspaces": :4096:8 on Hopper, less on others); a backward pass has a thread of its own."""
SLACK = 0.25
"""What may be lost in holes between blocks of other sizes, as a part of what a step makes and frees. A margin, no prediction:
tests/benchmarks/planner_error.py prints what was lost in the reference results."""


@dataclass(frozen=True)
class Components:
    """Bytes at the peak, by what they are for."""

    weights: int = 0
    kv_cache: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    workspace: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True)
class Plan:
    """moment: when the peak is. needed_bytes: the peak and what may be lost between blocks; a GPU that has it is large enough."""

    load: Load
    components: Components
    moment: str

    @property
    def peak_memory_bytes(self) -> int:
        return self.components.total

    @property
    def needed_bytes(self) -> int:
        held = self.components
        return held.total + int(SLACK * (held.activations + held.kv_cache + held.workspace))


def footprint(model: Architecture, stack: Sequence[Technique]) -> Footprint:
    """What the stack makes of the model as stored. Raises ValueError where no formula covers a technique."""
    held = Footprint(dtype=model.dtype)
    for technique in stack:
        held = technique.footprint(held)
    if held.unknown is not None:
        raise ValueError(f"technique: {held.unknown}, so its memory cannot be predicted")
    if held.dtype not in BYTES:
        raise ValueError(f"model: numbers of type {held.dtype} have no memory formula; put a precision into the stack")
    return held


def plan(model: ModelSpec, stack: Sequence[Technique], load: Load, ranks: int = 1) -> Plan:
    """Raises ValueError naming the field where there is no formula for the model, a technique, or how the ranks share the work."""
    sizes = architecture(model)
    return plan_of(sizes, footprint(sizes, stack), load, ranks)


def plan_of(model: Architecture, held: Footprint, load: Load, ranks: int = 1) -> Plan:
    if ranks > 1 and held.group is None:
        raise ValueError(f"gpus: {ranks} GPUs share the work by ddp or fsdp; choose one of them, or one GPU")
    if load.batch % ranks:
        raise ValueError(f"batch: {load.batch} sequences cannot be dealt out evenly to {ranks} GPUs; use a multiple of {ranks}")
    moments = _Training(model, held, load, ranks).moments() if load.micro_batches else _inference(model, held, load)
    moment, components = max(moments.items(), key=lambda found: found[1].total)
    return Plan(load, components, moment)


def weight_bytes(model: Architecture, held: Footprint) -> int:
    """Of all weights on one device, an adapter's included."""
    rest = 4 if held.prepared else BYTES[held.dtype]
    packed = held.packing
    linear = sum(packed.layer_bytes(m.outputs, m.inputs) if packed else m.elements * rest for m in model.linears)
    bytes_ = model.layers * (linear + model.vectors * rest) + (sum(model.embeddings) + model.outside) * rest
    if packed and packed.head and model.head:
        bytes_ += packed.layer_bytes(model.head, model.hidden)
    else:
        bytes_ += model.head_parameters * rest
    return bytes_ + 4 * sum(outputs * inputs for outputs, inputs in _adapter_shapes(model, held))


def _adapter_shapes(model: Architecture, held: Footprint) -> list[tuple[int, ...]]:
    """LoRA's two matrices beside each adapted layer (https://arxiv.org/abs/2106.09685, section 4.1)."""
    if held.adapter is None:
        return []
    rank = held.adapter.rank
    found: list[tuple[int, ...]] = []
    for m in (m for m in model.linears if m.name in held.adapter.targets):
        found += [(rank, m.inputs), (m.outputs, rank)]
    return found * model.layers


def cache_bytes(model: Architecture, held: Footprint, tokens: int, sequences: int) -> int:
    """Keys and values: 2 x layers x heads that have their own x head size, for each token of each sequence."""
    if held.cached is None:
        return 0
    return sequences * held.cached(tokens, 2 * model.layers * model.kv_heads * model.head_dim, BYTES[held.dtype])


def _expanded(model: Architecture, held: Footprint) -> int:
    """The largest packed layer of a block, where a product expands it."""
    if held.packing is None:
        return 0
    return held.packing.expanded * max(m.elements for m in model.linears)


def _inference(model: Architecture, held: Footprint, load: Load) -> dict[str, Components]:
    """A generation peaks in its prefill, where whole prompts are activations, or at its last token, where the cache is longest. Without a
    cache every token is a prefill of all before it."""
    weights, sizes = weight_bytes(model, held), BYTES[held.dtype]
    longest = load.length + max(load.new - 1, 0)
    prefill = longest if held.cached is None else load.length
    scores = load.batch * model.head * (sizes + 8)  # of the last position: as they are, in float32, and once more while a token is chosen
    full = 0 if load.new == 0 else cache_bytes(model, held, prefill if held.grows else load.length + load.new, load.batch)
    work = WORKSPACE_BYTES + _expanded(model, held)
    head = WORKSPACE_BYTES + (held.packing.expanded * model.head * model.hidden if held.packing and held.packing.head else 0)
    tokens, per = load.batch * prefill, PerToken(model, held, prefill)
    found = {
        "prefill": Components(weights, full, activations=tokens * per.forward() + scores, workspace=work),
        "first scores": Components(weights, full, activations=tokens * 2 * per.boundary() + scores, workspace=head),
    }
    if load.new and held.cached is not None:
        cache = cache_bytes(model, held, longest if held.grows else load.length + load.new, load.batch)
        copied = cache // model.layers if held.grows else 0  # a layer's keys and values, new beside old
        step = load.batch * PerToken(model, held, longest).forward() + scores
        found["last token"] = Components(weights, cache, activations=step, workspace=max(work + copied, head))
    return found


class _Training:
    """The moments of a training step that can be its peak, per GPU."""

    def __init__(self, model: Architecture, held: Footprint, load: Load, ranks: int) -> None:
        self.model, self.held, self.load = model, held, load
        self.tokens = load.batch // ranks * load.length
        self.per = PerToken(model, held, load.length)
        self.shards = ranks if held.group == "shards" else 1
        shapes = _adapter_shapes(model, held) or model.shapes
        itemsize = 4 if held.adapter else BYTES[held.dtype]
        counts = [shape[0] if len(shape) == 1 else shape[0] * shape[1] for shape in shapes]
        self.trained, self.largest = itemsize * sum(counts), itemsize * max(counts)
        self.gradients = self.trained // self.shards
        self.state = sum(held.state_bytes(shape, itemsize) for shape in shapes) // self.shards
        self.block = 0 if held.adapter else itemsize * model.block_parameters
        self.head = 0 if held.adapter else itemsize * model.head * model.hidden
        outside = sum(model.embeddings) + model.outside + model.head_parameters
        self.rest = 0 if held.adapter else itemsize * outside
        sharded = self.shards > 1
        # FSDP2 holds, beside its part, the block at work, the next one and the buffer that it comes in, and what is outside the blocks
        # (https://arxiv.org/abs/2304.11277, section 3.2); whole gradients before they are dealt out, and the buffer that they leave in
        self.gathered = BYTES[held.dtype] * (3 * model.block_parameters + outside) if sharded else 0
        self.leaving, self.left = (2 * self.block, 2 * self.rest) if sharded else (0, 0)
        self.buckets = self.trained if held.group == "copies" and ranks > 1 else 0

    def moments(self) -> dict[str, Components]:
        """In the order of a step. With several micro-batches the gradients of earlier ones are there from the start."""
        model, per, tokens, held = self.model, self.per, self.tokens, self.held
        recomputed = 0 if not held.checkpoint_every else -(-model.layers // held.checkpoint_every)
        whole = model.layers - recomputed
        kept = recomputed * per.boundary() + whole * per.kept_by_block()
        loss = kept + per.kept_after_blocks()
        # a block at work: recomputed ones hold no more than one at a time, beside the inputs of all
        at_work = max(per.kept_by_block() - per.boundary(), 0) if recomputed else 0
        first = per.kept_by_block() + per.backward_of_block()
        head, copies = self._copies(1 if model.head else 0, 0), self._copies(1, whole)
        of_block = self._copies(0, 1) if recomputed else 0
        bottom = max(self.gradients - (0 if model.tied else self.rest // 2 // self.shards), 0)
        expanded = _expanded(model, held)
        return {
            "end of the forward pass": self._at(tokens * (loss + per.made_by_loss()) + self._copies(1, model.layers)),
            "loss": self._at(tokens * (loss + LOSS_BYTES * model.head) + copies),
            "output head's gradient": self._at(tokens * (loss + 4 * model.head) + copies, self.head // 2 * held.autocast, self.head),
            "backward pass of the last block": self._at(
                tokens * (kept + at_work + per.backward_of_block()) + copies - head + of_block, expanded + self.leaving, self.head + self.block),
            "backward pass of the first block": self._at(tokens * first + of_block, expanded + self.leaving, bottom),
            "end of the backward pass": self._at(0, (self.head if model.tied else 0) + self.left, self.gradients),
            "update": self._at(0, held.update_bytes(self.trained // self.shards, self.largest // self.shards), self.gradients, gathered=False),
        }  # fmt: skip

    def _copies(self, head: int, blocks: int) -> int:
        """16-bit copies of weights under autocast, which count as activations: of blocks and of the head."""
        if not self.held.autocast:
            return 0
        return 2 * (head * self.model.head * self.model.hidden + blocks * sum(m.elements for m in self.model.linears))

    def _at(self, activations: int, transient: int = 0, gradients: int = 0, gathered: bool = True) -> Components:
        if self.load.micro_batches > 1:
            gradients = self.gradients
        return Components(
            weights=weight_bytes(self.model, self.held) // self.shards + (self.gathered if gathered else 0),
            gradients=min(gradients, self.gradients), optimizer=self.state, activations=activations,
            workspace=transient + self.buckets + 2 * WORKSPACE_BYTES,
        )  # fmt: skip
