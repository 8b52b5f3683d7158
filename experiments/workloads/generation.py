"""Text generation: time to first token, decode speed, memory, and the quality of the model that was timed.

Greedy, min = max new tokens, so that every variant does the same work. Latency comes from one pass, memory from another.
The points are all batch sizes at all lengths of what is generated.
"""

from __future__ import annotations

import functools
import gc
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from engine.footprint import Load
from engine.measurement import Point
from engine.technique import Session
from engine.texts import load_text
from engine.workload import ProfiledStep, Workload

if TYPE_CHECKING:
    from engine.energy import Energy
    from engine.meter import Meter
    from engine.quality import QualityReference

_TIMED = (
    "ttft_seconds",
    "inter_token_latency_seconds",
    "prefill_tokens_per_second",
    "decode_tokens_per_second",
    "generation_seconds",
    "kv_cache_bytes",
    "peak_memory_bytes",
)
# Warm-up ends when two calls in a row differ by less than this, or at the cap.
_STEADY = 0.05
_PROFILED_TOKENS = 8
"""New tokens in a profile: one decoding step is like the next, and each adds thousands of events."""
_SHOWN_TOKENS, _SHOWN_CHARACTERS = 64, 400
"""New tokens of the answer that is kept to be read beside the other variants', and characters of the end of its prompt."""


class _Call(NamedTuple):
    """Seconds of one generation: wall time to the first and to the last new token, and of the whole call on the GPU's clock."""

    first: float
    last: float
    device: float | None


class Generation(Workload):
    """Greedy generation from a prompt of real text; perplexity and fidelity on the same model."""

    name: ClassVar[str] = "generation"
    label: ClassVar[str] = "Text generation"
    metrics: ClassVar[tuple[str, ...]] = ("load_seconds", "first_call_seconds", "weight_bytes", "bits_per_parameter", "load_peak_memory_bytes", *_TIMED,
                                         "energy_joules_per_token")  # fmt: skip
    quality_metrics: ClassVar[tuple[str, ...]] = ("perplexity", "kl_divergence", "top1_agreement")
    decides: ClassVar[tuple[str, ...]] = (
        "decode_tokens_per_second", "perplexity", "weight_bytes", "generation_seconds", "ttft_seconds", "peak_memory_bytes",
    )  # fmt: skip
    generates: ClassVar[bool] = True

    prompt_tokens: int = Field(128, ge=1, le=131_072, description="Length of every prompt")
    new_tokens: tuple[Annotated[int, Field(ge=2, le=65_536)], ...] = Field(
        (64,), min_length=1, max_length=16, description="Tokens generated per sequence, exactly; each length is measured"
    )
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (1,), min_length=1, max_length=16, description="Sequences generated at once; each size is measured"
    )
    repeats: int = Field(5, ge=1, le=1000, description="Timed calls per batch size and length within one run")
    max_warmups: int = Field(3, ge=0, le=100, description="Warm-up calls after the first one, at most; fewer if two in a row agree within 5 %")
    quality_tokens: int = Field(4096, ge=0, le=1_000_000, description="Tokens of text for perplexity; 0 turns quality off")
    quality_context: int = Field(1024, ge=2, le=131_072, description="Context length of each perplexity window")

    @field_validator("new_tokens", mode="before")
    @classmethod
    def _one_length(cls, lengths: Any) -> Any:
        """One number is a list of one: what experiments say that were stored before there could be several."""
        return (lengths,) if isinstance(lengths, int) else lengths

    @field_validator("batch_sizes", "new_tokens")
    @classmethod
    def _ascending(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(sizes)))

    @model_validator(mode="after")
    def _one_window_fits(self) -> Self:
        if 0 < self.quality_tokens < self.quality_context:
            raise ValueError(
                f"quality_context: one window of {self.quality_context} tokens does not fit into quality_tokens = "
                f"{self.quality_tokens}; ask for more tokens or less context"
            )
        return self

    def positions_needed(self) -> int:
        return max(self.prompt_tokens + max(self.new_tokens), self.quality_context if self.quality_tokens else 0)

    def loads(self) -> list[Load]:
        return [
            Load({"batch": batch, "prompt_tokens": self.prompt_tokens, "new_tokens": new}, batch, self.prompt_tokens, new)
            for batch in self.batch_sizes for new in self.new_tokens
        ]  # fmt: skip

    def run(self, session: Session, meter: Meter) -> None:
        from engine.energy import Energy
        from engine.points import measure_points

        points = [load.point for load in self.loads()]
        energy = Energy(session, meter)
        measure_points(meter, _TIMED, points, lambda point: self._measure(session, meter, energy, point, first=point == points[0]))
        self._count_operators(session, meter)

    def _measure(self, session: Session, meter: Meter, energy: Energy, point: Point, *, first: bool) -> None:
        batch, new = int(point["batch"]), int(point["new_tokens"])
        where = f"batch {batch}, {new} new tokens"
        ids = self.prompts(session, batch)
        meter.phase(f"first call, {where}")
        calls = [self._timed(session, meter, ids, new)]
        if first:
            meter.record("first_call_seconds", [calls[0].last], point)
        while len(calls) <= self.max_warmups and not _is_steady(calls):
            meter.phase(f"warm-up, {where}", len(calls), self.max_warmups)
            calls.append(self._timed(session, meter, ids, new))
        warmups, calls = calls, []
        for repeat in range(self.repeats):
            meter.phase(f"measuring, {where}", repeat + 1, self.repeats)
            calls.append(self._timed(session, meter, ids, new))
        self._record(meter, point, warmups, calls)
        meter.phase(f"memory, {where}")
        self._memory_pass(session, meter, ids, point)
        energy.record("energy_joules_per_token", lambda: self.generate(session, ids, new), batch * new, point)

    def _count_operators(self, session: Session, meter: Meter) -> None:
        """Of one more token, where torch starts operators one by one; engine/answers/regimes.py asks for it."""
        from engine.operators import count_operators

        if session.compile_seconds is None and session.plan.loader is None:
            meter.phase("counting operators")
            ids = self.prompts(session, 1)[:, :1]
            shorter, longer = (count_operators(functools.partial(self.generate, session, ids, new)) for new in (2, 3))
            if isinstance(shorter, str) or isinstance(longer, str):
                meter.details["operators_not_counted"] = shorter
            else:
                meter.details["operators_per_token"] = longer - shorter

    def _record(self, meter: Meter, point: Point, warmups: list[_Call], calls: list[_Call]) -> None:
        batch, new = int(point["batch"]), int(point["new_tokens"])
        for name, of in {
            "ttft_seconds": lambda c: c.first,
            "inter_token_latency_seconds": lambda c: (c.last - c.first) / (new - 1),
            "prefill_tokens_per_second": lambda c: batch * self.prompt_tokens / c.first,
            "decode_tokens_per_second": lambda c: batch * (new - 1) / (c.last - c.first),
            "generation_seconds": lambda c: c.last,
        }.items():
            meter.record(name, [of(c) for c in calls], point, warmups=[of(c) for c in warmups])
        if any(c.device is not None for c in calls):
            clocks = {"device_seconds": [c.device for c in calls], "wall_seconds": [c.last for c in calls]}
            meter.details.setdefault("clocks", []).append({"batch": batch, "new_tokens": new, **clocks})

    def _memory_pass(self, session: Session, meter: Meter, ids: Any, point: Point) -> None:
        from engine.memory import cache_bytes

        gc.collect()
        peaks, out = meter.peak_of(lambda: self.generate(session, ids, int(point["new_tokens"]), return_dict_in_generate=True))
        meter.record("kv_cache_bytes", [cache_bytes(out.past_key_values)], point)
        meter.record_peaks(peaks, point)

    def prompts(self, session: Session, batch: int) -> Any:
        """Token ids (batch, prompt_tokens) int64 on the device: consecutive pieces of the text, or random ids for a shape."""
        import torch

        if session.tokenizer is None:
            generator = torch.Generator().manual_seed(session.seed)
            ids = torch.randint(3, session.model.config.vocab_size, (batch, self.prompt_tokens), generator=generator)
        else:
            needed = batch * self.prompt_tokens
            text = load_text(session.texts_dir).content
            ids = session.tokenizer(text[: needed * 12], return_tensors="pt").input_ids[0]
            # A text shorter than the whole batch is read again from its start.
            ids = ids.repeat(-(-needed // len(ids)))[:needed].reshape(batch, self.prompt_tokens)
        return ids.to(session.torch_device)

    def generate(self, session: Session, ids: Any, new_tokens: int, **extra: Any) -> Any:
        """The one call that everything here measures."""
        import torch

        return session.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            pad_token_id=0,
            **session.call_options(len(ids), ids.shape[1] + new_tokens),
            **extra,
        )

    def _timed(self, session: Session, meter: Meter, ids: Any, new_tokens: int) -> _Call:
        """Time one generation, the device drained before it. A token's time is when it reached the host."""
        from engine.stamps import TokenStamps

        stamps = TokenStamps()

        def call() -> float:
            start = meter.now()
            self.generate(session, ids, new_tokens, streamer=stamps)
            return start

        device, start = meter.device_seconds(call)
        if len(stamps.times) != new_tokens:
            raise RuntimeError(f"generate() produced {len(stamps.times)} tokens, {new_tokens} were asked for")
        return _Call(stamps.times[0] - start, stamps.times[-1] - start, device)

    def profiled(self, session: Session) -> ProfiledStep:
        from engine.stamps import TokenRegions

        batch, new_tokens = self.batch_sizes[0], min(*self.new_tokens, _PROFILED_TOKENS)
        ids = self.prompts(session, batch)
        what = f"one generation of {new_tokens} tokens after {self.prompt_tokens}, batch {batch}"
        return ProfiledStep(what, lambda: self.generate(session, ids, new_tokens, streamer=TokenRegions(new_tokens)))

    def measures_quality(self) -> bool:
        return self.quality_tokens > 0

    def quality_protocol(self, texts_dir: Path) -> dict[str, Any]:
        text = load_text(texts_dir)
        return {"text": text.name, "text_sha256": text.sha256, "tokens": self.quality_tokens, "context": self.quality_context}

    def _windows(self, session: Session) -> Any:
        from engine.quality import windows

        return windows(session, load_text(session.texts_dir).content, self.quality_tokens, self.quality_context)

    def write_quality_reference(self, session: Session, reference: QualityReference) -> None:
        from engine.quality import write_reference

        write_reference(session, self._windows(session), reference)

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        from engine.quality import measure

        point: Point = {"text": load_text(session.texts_dir).name, "tokens": self.quality_tokens, "context": self.quality_context}
        measure(session, meter, self._windows(session), reference, point)
        meter.details["outputs"] = self._answer(session, meter)

    def _answer(self, session: Session, meter: Meter) -> dict[str, Any]:
        """The start of the greedy answer to the first prompt, as engine/answers/outputs.py reads it: what a person would see of the quality."""
        new = min(max(self.new_tokens), _SHOWN_TOKENS)
        meter.phase(f"the first {new} tokens of an answer")
        prompt = self.prompts(session, 1)
        try:
            ids = self.generate(session, prompt, new)[0, self.prompt_tokens :].tolist()
        except Exception as error:  # the quality that the run was asked for is measured by now
            traceback.print_exc()
            return {"not_measured": f"{type(error).__name__}: {error}"[:500]}
        decode = session.tokenizer.decode
        ends = [len(decode(ids[: count + 1])) for count in range(len(ids))]
        return {"prompt": decode(prompt[0])[-_SHOWN_CHARACTERS:], "ids": ids, "text": decode(ids), "ends": ends}


def _is_steady(calls: list[_Call]) -> bool:
    return len(calls) >= 2 and abs(calls[-1].last / calls[-2].last - 1) < _STEADY
