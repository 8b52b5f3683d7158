"""Attention alone, without a model: time, memory, rate of arithmetic and error of each implementation over sequence length.

The variant's `attention` technique chooses the implementation; the empty stack is standard attention, the baseline.
Time, memory and error come from passes of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from engine.measurement import Point
from engine.modelspec import Head
from engine.technique import Session
from engine.workload import ProfiledStep, Workload
from experiments.attention.exactness import head_errors
from experiments.attention.kernels import attention_call
from experiments.attention.stopwatch import Stopwatch

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.quality import QualityReference

_TIMED = ("kernel_seconds", "extra_peak_bytes", "tflops_per_second", "ceiling_share")
# Forward has two matrix products, backward five: (2 + 5) / 2.
_FORWARD_BACKWARD = 3.5


class AttentionKernel(Workload):
    """Attention on random tensors at several sequence lengths; no model is loaded."""

    name: ClassVar[str] = "attention_kernel"
    label: ClassVar[str] = "Attention kernel"
    metrics: ClassVar[tuple[str, ...]] = ("first_call_seconds", "ceiling_tflops_per_second", *_TIMED)
    quality_metrics: ClassVar[tuple[str, ...]] = ("attention_error",)
    decides: ClassVar[tuple[str, ...]] = ("kernel_seconds", "attention_error", "extra_peak_bytes", "tflops_per_second")
    head: ClassVar[Head] = Head.NOTHING

    seq_lens: tuple[Annotated[int, Field(ge=1, le=1_048_576)], ...] = Field(
        (512, 1024, 2048, 4096, 8192, 16384), min_length=1, max_length=32, description="Sequence lengths; each is measured"
    )
    batch: int = Field(8, ge=1, le=1024, description="Sequences at once")
    heads: int = Field(12, ge=1, le=256, description="Attention heads")
    head_dim: int = Field(64, ge=1, le=512, description="Numbers per head")
    dtype: Literal["float32", "float16", "bfloat16"] = Field("float32", description="Number type; the flash kernels of GPUs need 16 bit")
    causal: bool = Field(False, description="Each query sees earlier keys only")
    direction: Literal["forward", "forward_backward"] = Field("forward", description="With backward: gradients of queries, keys and values too")
    layers: int = Field(1, ge=1, le=256, description="Attention calls per pass, each with queries, keys and values of its own")
    memory_cap_gib: float | None = Field(None, gt=0, le=4096, description="GPU only: run out of memory as a card of this size would")
    repeats: int = Field(5, ge=1, le=1000, description="Timed passes per length within one run")
    warmups: int = Field(3, ge=1, le=100, description="Passes before timing, the first of which may compile")

    @field_validator("seq_lens")
    @classmethod
    def _ascending(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(lengths)))

    def flops(self, length: int) -> float:
        """Arithmetic of one pass as the FlashAttention papers count it."""
        forward = 4.0 * self.layers * self.batch * self.heads * length**2 * self.head_dim
        return forward * (0.5 if self.causal else 1.0) * (_FORWARD_BACKWARD if self.direction == "forward_backward" else 1.0)

    def run(self, session: Session, meter: Meter) -> None:
        self._cap_memory(session)
        meter.phase("measuring the matrix-product ceiling")
        watch = Stopwatch(session.torch_device, self.dtype)
        ceiling = watch.ceiling()
        meter.record("ceiling_tflops_per_second", [ceiling / 1e12])
        self._sweep(meter, _TIMED, lambda length, point: self._measure(session, meter, watch, ceiling, length, point))

    def _sweep(self, meter: Meter, metrics: Sequence[str], measure: Callable[[int, Point], None]) -> None:
        """Every length; one that does not fit is a result, and the longer ones are not tried."""
        from engine.points import measure_points

        measure_points(meter, metrics, [{"seq_len": n} for n in self.seq_lens], lambda point: measure(int(point["seq_len"]), point))

    def _measure(self, session: Session, meter: Meter, watch: Stopwatch, ceiling: float, length: int, point: Point) -> None:
        meter.phase(f"first call, length {length}")
        one_pass = self._prepared(session, length)
        warmups = [watch.seconds(one_pass) for _ in range(self.warmups)]
        meter.record("first_call_seconds", warmups[:1], point)
        meter.phase(f"measuring, length {length}")
        times = [watch.seconds(one_pass) for _ in range(self.repeats)]
        flops = self.flops(length)
        for name, of in {
            "kernel_seconds": lambda t: t,
            "tflops_per_second": lambda t: flops / t / 1e12,
            "ceiling_share": lambda t: flops / t / ceiling,
        }.items():
            meter.record(name, map(of, times), point, warmups=map(of, warmups))
        meter.phase(f"memory, length {length}")
        if (extra := meter.extra_peak_of(one_pass)) is not None:
            meter.record("extra_peak_bytes", [extra], point)

    def _prepared(self, session: Session, length: int) -> Callable[[], list[Any]]:
        """One pass through all layers; returns its results: the outputs, and the gradients where they are asked for."""
        import torch

        call = self._call(session, length)
        backward = self.direction == "forward_backward"
        inputs = [self.tensors(session, length, layer) for layer in range(self.layers)]
        if not backward:

            def forward() -> list[Any]:
                with torch.inference_mode():
                    return [call(q, k, v) for q, k, v, _ in inputs]

            return forward
        wanted = [t.requires_grad_() for q, k, v, _ in inputs for t in (q, k, v)]
        from_above = [gradient for *_, gradient in inputs]

        def both() -> list[Any]:
            outputs = [call(q, k, v) for q, k, v, _ in inputs]
            return [*outputs, *torch.autograd.grad(outputs, wanted, from_above)]

        return both

    def _call(self, session: Session, length: int) -> Callable[[Any, Any, Any], Any]:
        choose = session.attention or functools.partial(attention_call, "eager", "auto")
        return choose(length, session.torch_device, self.causal)

    def tensors(self, session: Session, length: int, layer: int = 0) -> Any:
        """Queries, keys, values and the gradient of the output, each (batch, heads, length, head_dim): standard normal,
        from the experiment's seed. Never zeros: a GPU draws less power on them and runs faster."""
        import torch

        generator = torch.Generator(session.torch_device).manual_seed(session.seed + layer)
        shape, dtype = (self.batch, self.heads, length, self.head_dim), getattr(torch, self.dtype)
        count = 4 if self.direction == "forward_backward" else 3
        made = [torch.randn(shape, generator=generator, device=session.torch_device, dtype=dtype) for _ in range(count)]
        return (*made, None)[:4]

    def _cap_memory(self, session: Session) -> None:
        if self.memory_cap_gib is None:
            return
        if session.device.kind != "cuda":
            raise ValueError("memory_cap_gib: it works on a GPU only; leave it empty on a CPU")
        import torch

        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(self.memory_cap_gib * 2**30 / total, 1.0))

    def profiled(self, session: Session) -> ProfiledStep:
        self._cap_memory(session)
        return ProfiledStep(f"one pass at length {self.seq_lens[0]}", self._prepared(session, self.seq_lens[0]))

    def measures_quality(self) -> bool:
        return True

    def quality_protocol(self, texts_dir: Path) -> dict[str, Any]:
        return {"inputs": "standard normal, fixed seed", "reference": "float64", "options": self.model_dump(mode="json")}

    def write_quality_reference(self, session: Session, reference: QualityReference) -> None:
        """Nothing to leave: each variant is compared with float64, not with the baseline."""

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        self._cap_memory(session)

        def measure(length: int, point: Point) -> None:
            import torch

            meter.phase(f"error against float64, length {length}")
            q, k, v, *_ = self.tensors(session, length)
            call = self._call(session, length)
            with torch.inference_mode():
                errors = head_errors(q, k, v, call(q, k, v), self.causal)
            meter.record("attention_error", errors, point, value=max(errors))

        self._sweep(meter, self.quality_metrics, measure)
