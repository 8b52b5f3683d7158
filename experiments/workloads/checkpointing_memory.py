"""Gradient checkpointing of a chain of layers, without a model: time and memory over the layers in each checkpointed segment.

Time, the memory's peak and the count of kept activations come from passes of their own. On a CPU the peak is sharp for tensors
above 32 MiB only: smaller ones come from the heap, and what is freed there stays with the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, field_validator

from engine.measurement import Point, Status
from engine.modelspec import Head
from engine.technique import Session
from engine.workload import ProfiledStep, Workload

if TYPE_CHECKING:
    from engine.meter import Meter

_MEASURED = ("forward_backward_seconds", "extra_peak_bytes", "activation_bytes")


class CheckpointingMemory(Workload):
    """Forward and backward through a chain of layers that checkpoints every n of them; no model is loaded."""

    name: ClassVar[str] = "checkpointing_memory"
    label: ClassVar[str] = "Checkpointing: memory over segment length"
    metrics: ClassVar[tuple[str, ...]] = _MEASURED
    decides: ClassVar[tuple[str, ...]] = _MEASURED
    head: ClassVar[Head] = Head.NOTHING

    layers: int = Field(16, ge=1, le=1024, description="Layers in the chain, each a norm, a linear layer, GELU and dropout")
    width: int = Field(64, ge=1, le=65_536, description="Numbers per row of input")
    batch: int = Field(140_000, ge=1, le=1_048_576, description="Rows of input, for example sequences x tokens")
    checkpoint_every: tuple[Annotated[int, Field(ge=0, le=1024)], ...] = Field(
        (0, 1, 2, 4, 8, 16), min_length=1, max_length=32, description="Layers per checkpoint; each is measured; 0: no checkpointing"
    )
    repeats: int = Field(3, ge=1, le=1000, description="Timed passes per segment length within one run")
    warmups: int = Field(1, ge=1, le=100, description="Passes before timing, the first of which makes the gradients")

    @field_validator("checkpoint_every")
    @classmethod
    def _ascending(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(lengths)))

    def run(self, session: Session, meter: Meter) -> None:
        """Every segment length, also where one did not fit: memory is least somewhere in the middle."""
        from engine.memory import release

        for every in self.checkpoint_every:
            point: Point = {"checkpoint_every": every}
            try:
                self._measure(session, meter, every, point)
            except Exception as error:
                from engine.meter import is_out_of_memory

                if not is_out_of_memory(error):
                    raise
                reason = f"checkpoint_every {every}: {str(error).splitlines()[0][:300]}"
            else:
                continue
            release(meter.device)  # only here the failed pass is gone with all that it held
            meter.record_failure(_MEASURED, point, Status.OUT_OF_MEMORY, reason)

    def _measure(self, session: Session, meter: Meter, every: int, point: Point) -> None:
        chain, x = self.chain(session, every), self.input(session)
        meter.phase(f"warm-up, checkpoint_every {every}")
        one_pass = _forward_backward(chain, x)
        warmups = [_seconds(meter, one_pass) for _ in range(self.warmups)]
        meter.phase(f"measuring, checkpoint_every {every}")
        times = [_seconds(meter, one_pass) for _ in range(self.repeats)]
        meter.record("forward_backward_seconds", times, point, warmups=warmups)
        meter.phase(f"memory, checkpoint_every {every}")
        # the gradients are there already and are added to, so that the peak is of activations
        if (extra := meter.extra_peak_of(one_pass)) is not None:
            meter.record("extra_peak_bytes", [extra], point)
        meter.record("activation_bytes", [kept_bytes(chain, x)], point)

    def chain(self, session: Session, every: int) -> Any:
        """The layers in training mode, with the same weights for every segment length."""
        import torch
        from torch import nn

        from experiments.training.checkpointed_sequential import CheckpointedSequential

        torch.manual_seed(session.seed)
        layers = [nn.Sequential(nn.LayerNorm(self.width), nn.Linear(self.width, self.width), nn.GELU(), nn.Dropout(0.1)) for _ in range(self.layers)]
        chain = CheckpointedSequential(*layers, checkpoint_every=every) if every else nn.Sequential(*layers)
        return chain.to(session.torch_device).train()

    def input(self, session: Session) -> Any:
        """(batch, width) float32, standard normal, from the experiment's seed."""
        import torch

        generator = torch.Generator(session.torch_device).manual_seed(session.seed)
        return torch.randn(self.batch, self.width, generator=generator, device=session.torch_device)

    def profiled(self, session: Session) -> ProfiledStep:
        every = self.checkpoint_every[-1]
        what = f"one forward and backward pass, checkpoint_every {every}"
        return ProfiledStep(what, _forward_backward(self.chain(session, every), self.input(session)))


def kept_bytes(chain: Any, x: Any) -> int:
    """Bytes of all distinct storages that autograd keeps from a forward pass, without the parameters' and the input's own.

    What a checkpointed segment would keep is not kept, so it is not seen; the segment's input is.
    """
    import torch

    own = {t.untyped_storage().data_ptr() for t in (x, *chain.parameters(), *chain.buffers())}
    kept: dict[int, Any] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # held, so that its address is not given away again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        chain(x)
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)


def _forward_backward(chain: Any, x: Any) -> Callable[[], list[Any]]:
    """A call that adds to the gradients of the chain's parameters; it returns no tensors."""
    import torch

    def one_pass() -> list[Any]:
        with torch.profiler.record_function("forward"):
            loss = chain(x).square().mean()
        with torch.profiler.record_function("backward"):
            loss.backward()
        return []

    return one_pass


def _seconds(meter: Meter, call: Callable[[], Any]) -> float:
    start = meter.now()
    call()
    return meter.now() - start
