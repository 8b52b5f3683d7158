"""Classification of labelled texts: time per example, memory, accuracy, F1, and the predictions that changed.

The model alone is timed: the batches are tokenized before. Texts are taken in the order of the data set.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from engine.labelled import Labelled, load_labelled, unusable
from engine.measurement import Point
from engine.modelspec import Head
from engine.technique import Session
from engine.workload import ProfiledStep, Workload

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.quality import QualityReference


class Classification(Workload):
    """Classify labelled texts and compare the answers with their labels and with the baseline's answers."""

    name: ClassVar[str] = "classification"
    label: ClassVar[str] = "Text classification"
    metrics: ClassVar[tuple[str, ...]] = (
        "load_seconds", "first_call_seconds", "weight_bytes", "bits_per_parameter", "load_peak_memory_bytes",
        "seconds_per_example", "examples_per_second", "forward_seconds", "peak_memory_bytes",
    )  # fmt: skip
    quality_metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1", "prediction_agreement")
    decides: ClassVar[tuple[str, ...]] = ("examples_per_second", "accuracy", "weight_bytes", "seconds_per_example", "peak_memory_bytes")
    head: ClassVar[Head] = Head.CLASSIFIER
    pads: ClassVar[bool] = True

    dataset: Literal["reviews", "prompt_injection", "sst2"] = Field(
        "reviews", description="Labelled texts; the model must know their labels. sst2 (872 texts) comes from the Hugging Face hub"
    )
    examples: int = Field(1000, ge=8, le=100_000, description="Labelled texts, from the start of the set")
    batch_size: int = Field(32, ge=1, le=4096, description="Texts classified at once")
    max_length: int = Field(128, ge=4, le=131_072, description="Longer texts are cut to this many tokens")
    repeats: int = Field(1, ge=1, le=100, description="Timed passes over all examples within one run")

    def unusable_data(self, texts_dir: Path) -> str | None:
        return unusable(texts_dir, self.dataset, self.examples)

    def positions_needed(self) -> int:
        return self.max_length

    def run(self, session: Session, meter: Meter) -> None:
        data = self._data(session.texts_dir)
        point: Point = {"dataset": data.name, "batch": self.batch_size}
        batches = self._batches(session, data)
        meter.phase("first call")
        start = meter.now()
        _logits(session, batches[0])
        meter.record("first_call_seconds", [meter.now() - start], point)
        seconds: list[float] = []
        for repeat in range(self.repeats):
            for step, batch in enumerate(batches, 1):
                if step % 10 == 1:
                    meter.phase(f"classifying, pass {repeat + 1} of {self.repeats}", step, len(batches))
                start = meter.now()
                _logits(session, batch)
                seconds.append(meter.now() - start)
        sizes = [len(b["input_ids"]) for b in batches] * self.repeats
        total, examples = sum(seconds), sum(sizes)
        each = [t / n for t, n in zip(seconds, sizes, strict=True)]
        meter.record("forward_seconds", seconds, point)
        # Texts differ in length from batch to batch: the whole pass is the number, its batches are only samples.
        meter.record("seconds_per_example", each, point, value=total / examples)
        meter.record("examples_per_second", [1 / t for t in each], point, value=examples / total)
        gc.collect()
        longest = max(batches, key=lambda b: b["input_ids"].numel())
        meter.record_peaks(meter.peak_of(lambda: _logits(session, longest))[0], point)

    def profiled(self, session: Session) -> ProfiledStep:
        batch = self._batches(session, self._data(session.texts_dir))[0]
        return ProfiledStep(f"the forward pass of {len(batch['input_ids'])} texts", lambda: _logits(session, batch))

    def measures_quality(self) -> bool:
        return True

    def quality_protocol(self, texts_dir: Path) -> dict[str, Any]:
        # The batch decides what is padded and how sums are ordered, so it may change the last bits of an answer.
        return self._data(texts_dir).protocol() | {"batch_size": self.batch_size, "max_length": self.max_length}

    def write_quality_reference(self, session: Session, reference: QualityReference) -> None:
        from engine.quality import keep_outputs

        keep_outputs(reference, self._all_logits(session, self._data(session.texts_dir)))

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        from engine.predictions import record_accuracy, record_agreement, record_f1

        data = self._data(session.texts_dir)
        point: Point = {"dataset": data.name, "examples": len(data.rows)}
        meter.phase("classifying for accuracy")
        logits = self._all_logits(session, data)
        predicted = logits.argmax(-1)
        record_accuracy(meter, "accuracy", predicted, data.labels, point)
        record_f1(meter, predicted, data.labels, point)
        record_agreement(meter, logits, reference, point)

    def _data(self, texts_dir: Path) -> Labelled:
        return load_labelled(texts_dir, self.dataset, self.examples)

    def _batches(self, session: Session, data: Labelled) -> list[dict[str, Any]]:
        """Tokenized, padded to the longest of each batch, on the device: input_ids and masks (batch, tokens) int64."""
        limit = getattr(session.model.config, "max_position_embeddings", None)
        if limit and self.max_length > limit:
            raise ValueError(f"max_length: the model has {limit} positions, {self.max_length} were asked for; use at most {limit}")
        wanted, known = max(data.labels) + 1, session.model.config.num_labels
        if known != wanted:
            raise ValueError(f"model: it tells {known} classes apart, {data.name} has {wanted}; choose a classifier made for it")
        texts = [r["text"] for r in data.rows]
        return [
            dict(session.tokenizer(
                texts[i : i + self.batch_size], padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
            ).to(session.torch_device))
            for i in range(0, len(texts), self.batch_size)
        ]  # fmt: skip

    def _all_logits(self, session: Session, data: Labelled) -> Any:
        import torch

        from engine.predictions import finite

        return finite(torch.cat([_logits(session, b).float().cpu() for b in self._batches(session, data)]), "accuracy")


def _logits(session: Session, batch: dict[str, Any]) -> Any:
    import torch

    with torch.inference_mode():
        return session.model(**batch).logits
