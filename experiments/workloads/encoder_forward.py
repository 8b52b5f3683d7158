"""An encoder's forward pass over batch sizes and sequence lengths, and how far its embeddings moved from the baseline's.

Speed uses full rows of text tokens without padding, so that every variant does the same work at a point.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from engine.footprint import Load
from engine.measurement import Point
from engine.modelspec import Head
from engine.technique import Session
from engine.texts import load_text
from engine.workload import ProfiledStep, Workload

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.quality import QualityReference

_TIMED = ("forward_seconds", "examples_per_second", "peak_memory_bytes")
_CUT = 128
"""Tokens that a sentence is cut to for its embedding."""


class EncoderForward(Workload):
    """Forward passes of an encoder, and the cosine of its mean-pooled embeddings to the baseline's."""

    name: ClassVar[str] = "encoder_forward"
    label: ClassVar[str] = "Encoder forward pass"
    metrics: ClassVar[tuple[str, ...]] = ("load_seconds", "first_call_seconds", "weight_bytes", "bits_per_parameter", "load_peak_memory_bytes", *_TIMED)
    quality_metrics: ClassVar[tuple[str, ...]] = ("embedding_cosine",)
    decides: ClassVar[tuple[str, ...]] = ("examples_per_second", "embedding_cosine", "weight_bytes", "forward_seconds", "peak_memory_bytes")
    head: ClassVar[Head] = Head.ENCODER
    pads: ClassVar[bool] = True

    batch_sizes: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (1, 8), min_length=1, max_length=16, description="Sequences in one call; each size is measured"
    )
    sequence_lengths: tuple[Annotated[int, Field(ge=2, le=131_072)], ...] = Field(
        (32, 128), min_length=1, max_length=16, description="Tokens of every sequence; each length is measured"
    )
    repeats: int = Field(10, ge=1, le=1000, description="Timed calls per batch size and length within one run")
    warmups: int = Field(2, ge=1, le=100, description="Calls before them that are kept apart")
    sentences: int = Field(64, ge=0, le=10_000, description="Sentences whose embeddings are compared; 0 turns this off")

    def positions_needed(self) -> int:
        return max(self.sequence_lengths)

    def loads(self) -> list[Load]:
        lengths, batches = sorted(set(self.sequence_lengths)), sorted(set(self.batch_sizes))
        return [Load({"batch": batch, "tokens": length}, batch, length) for length in lengths for batch in batches]

    def run(self, session: Session, meter: Meter) -> None:
        from engine.points import measure_points

        points = [load.point for load in self.loads()]
        measure_points(meter, _TIMED, points, lambda point: self._measure(session, meter, point, first=point == points[0]))

    def _measure(self, session: Session, meter: Meter, point: Point, *, first: bool) -> None:
        batch, length = int(point["batch"]), int(point["tokens"])
        meter.phase(f"measuring, batch {batch} x {length} tokens")
        ids = self._ids(session, batch, length)
        calls = [self._timed(session, meter, ids) for _ in range(self.warmups + self.repeats)]
        if first:
            meter.record("first_call_seconds", calls[:1], point)
        warm, seconds = calls[: self.warmups], calls[self.warmups :]
        gc.collect()
        peaks = meter.peak_of(lambda: _hidden(session, ids))[0]
        meter.record("forward_seconds", seconds, point, warmups=warm)
        meter.record("examples_per_second", [batch / t for t in seconds], point, warmups=[batch / t for t in warm])
        meter.record_peaks(peaks, point)

    def _timed(self, session: Session, meter: Meter, ids: Any) -> float:
        start = meter.now()
        _hidden(session, ids)
        return meter.now() - start

    def _ids(self, session: Session, batch: int, length: int) -> Any:
        """Token ids (batch, length) int64 on the device: consecutive pieces of the text, read again where it is too short."""
        limit = getattr(session.model.config, "max_position_embeddings", None)
        if limit and length > limit:
            raise ValueError(f"sequence_lengths: the model has {limit} positions, {length} were asked for; use at most {limit}")
        needed = batch * length
        text = load_text(session.texts_dir).content[: needed * 12]
        # More tokens than one sequence may have are wanted here, cut into pieces below: the tokenizer need not warn.
        ids = session.tokenizer(text, return_tensors="pt", add_special_tokens=False, verbose=False).input_ids[0]
        return ids.repeat(-(-needed // len(ids)))[:needed].reshape(batch, length).to(session.torch_device)

    def profiled(self, session: Session) -> ProfiledStep:
        batch, length = min(self.batch_sizes), min(self.sequence_lengths)
        ids = self._ids(session, batch, length)
        return ProfiledStep(f"one forward pass, batch {batch} x {length} tokens", lambda: _hidden(session, ids))

    def measures_quality(self) -> bool:
        return self.sentences > 0

    def quality_protocol(self, texts_dir: Path) -> dict[str, Any]:
        text = load_text(texts_dir)
        return {"text": text.name, "text_sha256": text.sha256, "sentences": self.sentences, "max_length": _CUT, "pooling": "mean"}

    def write_quality_reference(self, session: Session, reference: QualityReference) -> None:
        from engine.quality import keep_outputs

        keep_outputs(reference, self._embeddings(session))

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        import torch

        from engine.quality import baseline_outputs

        meter.phase("embedding sentences")
        found = self._embeddings(session)
        point: Point = {"text": load_text(session.texts_dir).name, "sentences": self.sentences}
        base = baseline_outputs(reference, found, meter, "embedding_cosine", point)
        if base is not None:
            cosine = torch.nn.functional.cosine_similarity(found.double(), base.double(), dim=-1)
            meter.record("embedding_cosine", cosine.tolist(), point, value=cosine.mean().item())

    def _embeddings(self, session: Session) -> Any:
        """(sentences, hidden size) float32 on the CPU, each the mean over its own tokens."""
        import torch

        from engine.predictions import finite

        rows = []
        for sentence in self._sentences(session.texts_dir):
            ids = session.tokenizer(sentence, truncation=True, max_length=_CUT, return_tensors="pt").input_ids
            rows.append(_hidden(session, ids.to(session.torch_device))[0].float().mean(0).cpu())
        return finite(torch.stack(rows), "embedding_cosine")

    def _sentences(self, texts_dir: Path) -> list[str]:
        """The first sentences of the text that say something: headings and fragments are left out."""
        parts = (s.strip() for p in load_text(texts_dir).content.split("\n\n") for s in p.split(" . "))
        found = [s for _, s in zip(range(self.sentences), (s for s in parts if len(s) >= 40), strict=False)]
        if len(found) < self.sentences:
            raise ValueError(f"sentences: the text has {len(found)}, {self.sentences} were asked for; ask for fewer")
        return found


def _hidden(session: Session, ids: Any) -> Any:
    import torch

    with torch.inference_mode():
        return session.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
