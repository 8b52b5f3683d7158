"""Training: optimizer steps on real text, their time split by what it goes into, their memory by what holds it.

One process trains, or the ranks of a group, each on its share of every batch.

Every variant trains on the same tokens in the same order, which is checked. Time, memory and the split of memory come
from passes of their own. The quality run trains from the start and measures held-out perplexity before and after.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from engine.footprint import Load
from engine.measurement import Point, Status
from engine.technique import Session
from engine.texts import load_text, load_training_text
from engine.workload import ProfiledStep, Workload
from experiments.training.shares import Share, together

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.quality import QualityReference
    from engine.training import Training

_PARTS = ("forward", "backward", "optimizer")
_TIMED = ("step_seconds", *(f"step_{part}_seconds" for part in _PARTS), "training_tokens_per_second")
_MEMORY = (
    "peak_memory_bytes", "peak_memory_all_ranks_bytes", "optimizer_state_bytes", "peak_weight_bytes", "peak_gradient_bytes",
    "peak_optimizer_bytes", "peak_activation_bytes", "peak_other_bytes",
)  # fmt: skip


class TrainingStep(Workload):
    """Training steps of a language model; held-out perplexity before and after."""

    name: ClassVar[str] = "training_step"
    label: ClassVar[str] = "Training"
    metrics: ClassVar[tuple[str, ...]] = (
        "load_seconds", "first_call_seconds", "weight_bytes", "total_parameters", "trainable_parameters", "adapter_bytes", *_TIMED, *_MEMORY,
        "energy_joules_per_training_token",
    )  # fmt: skip
    quality_metrics: ClassVar[tuple[str, ...]] = (
        "perplexity", "perplexity_before_training", "merged_perplexity", "training_loss", "kl_divergence", "top1_agreement",
    )  # fmt: skip
    decides: ClassVar[tuple[str, ...]] = ("training_tokens_per_second", "perplexity", "peak_memory_bytes", "step_seconds", "optimizer_state_bytes")
    trains: ClassVar[bool] = True
    spreads: ClassVar[bool] = True

    seq_len: int = Field(128, ge=2, le=131_072, description="Tokens per sequence")
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (4,), min_length=1, max_length=16, description="Sequences per micro-batch over all ranks; each size is measured"
    )
    accumulation: int = Field(1, ge=1, le=1024, description="Micro-batches per optimizer step")
    steps: int = Field(5, ge=1, le=10_000, description="Timed optimizer steps per batch size within one run")
    warmups: int = Field(2, ge=1, le=1000, description="Optimizer steps before timing; the first one makes the optimizer's state")
    learning_rate: float = Field(1e-4, gt=0, le=10, description="Constant learning rate")
    quality_steps: int = Field(20, ge=0, le=100_000, description="Optimizer steps between the two perplexities; 0 turns quality off")
    quality_tokens: int = Field(4096, ge=2, le=1_000_000, description="Tokens of held-out text for perplexity")
    quality_context: int = Field(1024, ge=2, le=131_072, description="Context length of each perplexity window")

    @field_validator("batch_sizes")
    @classmethod
    def _ascending(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(sizes)))

    @model_validator(mode="after")
    def _one_window_fits(self) -> Self:
        if self.quality_tokens < self.quality_context:
            raise ValueError(
                f"quality_context: one window of {self.quality_context} tokens does not fit into quality_tokens = "
                f"{self.quality_tokens}; ask for more tokens or less context"
            )
        return self

    def positions_needed(self) -> int:
        return max(self.seq_len, self.quality_context if self.quality_steps else 0)

    def training(self, model: Any) -> Training:
        from engine.training import Training

        return Training(forward=model, learning_rate=self.learning_rate)

    def loads(self) -> list[Load]:
        return [
            Load({"batch": batch, "seq_len": self.seq_len}, batch, self.seq_len, micro_batches=self.accumulation) for batch in self.batch_sizes
        ]

    def run(self, session: Session, meter: Meter) -> None:
        from engine.energy import Energy
        from engine.points import measure_points

        training, energy = self._started(session, meter), Energy(session, meter)

        def measure(point: Point) -> None:
            batch = int(point["batch"])
            try:
                self._measure(session, training, meter, batch, point, first=batch == self.batch_sizes[0])
                if energy.usable:
                    micro_batches = next(self._steps(session, batch))  # the same ones again and again: what is learnt is not looked at
                    tokens = batch * self.seq_len * self.accumulation
                    energy.record("energy_joules_per_training_token", lambda: training.step(micro_batches), tokens, point)
            except Exception:
                training.optimizer.zero_grad(set_to_none=True)  # what a step leaves that did not fit
                raise

        points = [{"batch": batch} for batch in self.batch_sizes]
        measure_points(meter, (*_TIMED, *_MEMORY), points, measure, fixed={"seq_len": self.seq_len})

    def _started(self, session: Session, meter: Meter) -> Training:
        from engine.memory import logical_elements
        from engine.memory_prediction import predict
        from experiments.adapters.measured import record_size

        training = self._begin(session)
        meter.record("total_parameters", [logical_elements(session.model.parameters())])
        meter.record("trainable_parameters", [logical_elements(training.trainable())])
        meter.details["memory_prediction"] = predict(session.model, training)
        if training.adapter is not None:
            record_size(training, meter)
        return training

    def _begin(self, session: Session) -> Training:
        """Ready for the first step."""
        import torch

        assert session.training is not None, "load_session gives a training workload its Training"
        session.training.start()
        session.model.train()
        torch.manual_seed(session.seed + session.ranks.rank)  # dropout of its own in each rank; the weights are there already
        return session.training

    def _steps(self, session: Session, batch: int) -> Iterator[list[Any]]:
        """This rank's share of the micro-batches of one optimizer step after another: (batch / ranks, seq_len) int64 on the device."""
        from experiments.training.batches import Windows, batches, token_ids

        needed = self.seq_len * batch * self.accumulation * (self.warmups + self.steps + self.quality_steps + 2)
        windows, ranks = Windows(token_ids(session, needed), self.seq_len), session.ranks
        stream = batches(windows, batch // ranks.count, session.seed, session.torch_device, ranks.rank, ranks.count)
        while True:
            yield [next(stream) for _ in range(self.accumulation)]

    def _measure(self, session: Session, training: Training, meter: Meter, batch: int, point: Point, *, first: bool) -> None:
        steps = self._steps(session, batch)
        meter.phase(f"first step, batch {batch}")
        warmups = [self._timed(training, meter, next(steps))]
        if first:
            meter.record("first_call_seconds", [max(session.ranks.gather(warmups[0]["total"]))], point)
        for index in range(1, self.warmups):
            meter.phase(f"warm-up, batch {batch}", index, self.warmups - 1)
            warmups.append(self._timed(training, meter, next(steps)))
        session.ranks.gather(None)  # all of them begin here
        timed, tokens, started = [], 0, meter.now()
        for index in range(self.steps):
            meter.phase(f"measuring, batch {batch}", index + 1, self.steps)
            micro_batches = next(steps)
            tokens += sum(ids.numel() for ids in micro_batches)
            timed.append(self._timed(training, meter, micro_batches))
        own = Share(warmups, timed, tokens, meter.now() - started)
        self._record_times(meter, together(session.ranks.gather(own)), point)
        self._memory_passes(session, training, meter, steps, point)

    def _record_times(self, meter: Meter, done: Share, point: Point) -> None:
        """done: by all ranks together."""
        self._check_tokens(done.tokens, int(point["batch"]), self.steps)
        meter.record("step_seconds", [t["total"] for t in done.timed], point, warmups=[t["total"] for t in done.warmups])
        for part in _PARTS:
            meter.record(f"step_{part}_seconds", [t[part] for t in done.timed], point)
        samples = [done.tokens / self.steps / t["total"] for t in done.timed]
        meter.record("training_tokens_per_second", samples, point, value=done.tokens / done.seconds)

    def _timed(self, training: Training, meter: Meter, micro_batches: list[Any]) -> dict[str, float]:
        marks = meter.marks()
        training.step(micro_batches, marks)
        return marks.seconds()

    def _check_tokens(self, tokens: int, batch: int, steps: int) -> None:
        expected = steps * self.accumulation * batch * self.seq_len
        if tokens != expected:
            raise RuntimeError(f"{tokens} tokens were trained on, {expected} were asked for: variants would not be comparable")

    def _memory_passes(self, session: Session, training: Training, meter: Meter, steps: Iterator[list[Any]], point: Point) -> None:
        from engine.memory import storage_bytes
        from engine.memory_split import SPLIT_METRICS, split_peak

        meter.phase(f"memory, batch {point['batch']}")
        gc.collect()
        micro_batches = next(steps)
        peaks, _ = meter.peak_of(lambda: training.step(micro_batches))
        own = peaks | {"optimizer_state_bytes": storage_bytes(*training.state_tensors())}
        of_all = session.ranks.gather(own)
        for name in own:
            meter.record(name, [max(of[name] for of in of_all)], point)
        if peaks:
            meter.record("peak_memory_all_ranks_bytes", [sum(of["peak_memory_bytes"] for of in of_all)], point)
        if len(of_all) > 1:
            meter.details.setdefault("bytes_by_rank", {})[str(point["batch"])] = of_all
        if not training.eager:
            meter.record_failure(SPLIT_METRICS, point, Status.UNSUPPORTED, "compiled code makes its tensors unseen; the peak by counter is measured")
            return
        meter.phase(f"what holds the memory, batch {point['batch']}")
        micro_batches = next(steps)
        split = split_peak(session.model, training.optimizer, meter.device, lambda marks: training.step(micro_batches, marks))
        for name, value in max(session.ranks.gather(split), key=lambda of: sum(of.values())).items():
            meter.record(name, [value], point)

    def profiled(self, session: Session) -> ProfiledStep:
        from torch.profiler import record_function

        assert session.training is not None, "load_session gives a training workload its Training"
        training, batch = session.training, self.batch_sizes[0]
        training.start()
        session.model.train()
        training.region = record_function
        steps = self._steps(session, batch)
        what = f"one optimizer step on {self.accumulation} x {batch} sequences of {self.seq_len} tokens"
        return ProfiledStep(what, lambda: training.step(next(steps)))

    def measures_quality(self) -> bool:
        return self.quality_steps > 0

    def quality_protocol(self, texts_dir: Path) -> dict[str, Any]:
        held_out, training = load_text(texts_dir), load_training_text(texts_dir)
        return {
            "text": held_out.name, "text_sha256": held_out.sha256, "tokens": self.quality_tokens, "context": self.quality_context,
            "training_text": training.name, "training_text_sha256": training.sha256, "batch": self.batch_sizes[0],
            **self.model_dump(mode="json", include={"seq_len", "accumulation", "quality_steps", "learning_rate"}),
        }  # fmt: skip

    def _windows(self, session: Session) -> Any:
        from engine.quality import windows

        return windows(session, load_text(session.texts_dir).content, self.quality_tokens, self.quality_context)

    def write_quality_reference(self, session: Session, reference: QualityReference) -> None:
        from engine.quality import write_reference

        self._train(session, None)
        write_reference(session, self._windows(session), reference)

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        from engine.quality import measure, perplexity
        from experiments.adapters.measured import record_merged

        point: Point = {"text": load_text(session.texts_dir).name, "tokens": self.quality_tokens, "context": self.quality_context}
        meter.phase("perplexity before training")
        perplexity(session, meter, self._windows(session), "perplexity_before_training", point)
        losses, seconds, tokens = self._train(session, meter)
        batch = self.batch_sizes[0]
        self._check_tokens(tokens, batch, self.quality_steps)
        last = losses[-max(len(losses) // 4, 1) :]
        meter.record("training_loss", losses, point, value=sum(last) / len(last))
        meter.details["loss_curve"] = {"tokens_per_step": batch * self.seq_len * self.accumulation, "seconds": seconds, "loss": losses}
        measure(session, meter, self._windows(session), reference, point)
        if session.training is not None and session.training.adapter is not None:
            record_merged(session, meter, self._windows(session), point)

    def _train(self, session: Session, meter: Meter | None) -> tuple[list[float], list[float], int]:
        """Train from where the model is. Returns (loss of each step, seconds since the start at its end, tokens). In eval mode after."""
        import time

        training = self._begin(session)
        losses, seconds, tokens, started = [], [], 0, time.perf_counter()
        for index, micro_batches in zip(range(self.quality_steps), self._steps(session, self.batch_sizes[0]), strict=False):
            if meter is not None:
                meter.phase("training", index + 1, self.quality_steps)
            tokens += sum(ids.numel() for ids in micro_batches)
            losses.append(float(training.step(micro_batches)))  # reading it waits for the device
            if not math.isfinite(losses[-1]):
                raise ValueError(f"learning_rate: the loss of step {index + 1} is {losses[-1]}; use a smaller learning rate")
            seconds.append(time.perf_counter() - started)
        session.model.eval()
        of_all = session.ranks.gather(losses)  # each rank has seen as many tokens as any other
        return [sum(step) / len(step) for step in zip(*of_all, strict=True)], seconds, sum(session.ranks.gather(tokens))
