"""Zero-shot multiple choice by log-likelihood, as lm-evaluation-harness does it: no example is shown, nothing is generated.

A choice's score is the log-likelihood of its tokens after the question; normalized, it is divided by the choice's characters.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from engine.labelled import Labelled, load_labelled
from engine.measurement import Point
from engine.technique import Session
from engine.workload import ProfiledStep, Workload

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.quality import QualityReference

_PROMPT = "Question: {question}\nAnswer:"


class MultipleChoice(Workload):
    """A language model's zero-shot accuracy on questions with two answers (PIQA)."""

    name: ClassVar[str] = "multiple_choice"
    label: ClassVar[str] = "Multiple choice (zero-shot)"
    pads: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("load_seconds", "weight_bytes", "bits_per_parameter", "load_peak_memory_bytes", "seconds_per_example")
    quality_metrics: ClassVar[tuple[str, ...]] = ("accuracy_normalized", "accuracy", "prediction_agreement")
    decides: ClassVar[tuple[str, ...]] = ("seconds_per_example", "accuracy_normalized", "accuracy", "weight_bytes")

    dataset: Literal["piqa"] = Field("piqa", description="Questions with their choices and the right answer")
    examples: int = Field(1000, ge=8, le=100_000, description="Questions, from the start of the set")
    timed_examples: int = Field(20, ge=1, le=100_000, description="Of these, questions that are timed in each speed run")

    def run(self, session: Session, meter: Meter) -> None:
        rows = load_labelled(session.texts_dir, self.dataset, min(self.timed_examples, self.examples)).rows
        self._scores(session, rows[0])  # warm-up
        seconds = []
        for step, row in enumerate(rows, 1):
            meter.phase("timing questions", step, len(rows))
            start = meter.now()
            self._scores(session, row)
            seconds.append(meter.now() - start)
        # Questions differ in length: the mean over all of them is the number.
        meter.record("seconds_per_example", seconds, {"dataset": self.dataset}, value=sum(seconds) / len(seconds))

    def profiled(self, session: Session) -> ProfiledStep:
        row = load_labelled(session.texts_dir, self.dataset, min(self.timed_examples, self.examples)).rows[0]
        return ProfiledStep("one question with all its choices", lambda: self._scores(session, row))

    def measures_quality(self) -> bool:
        return True

    def quality_protocol(self, texts_dir: Path) -> dict[str, Any]:
        return self._data(texts_dir).protocol() | {"prompt": _PROMPT, "shots": 0, "normalized_by": "characters"}

    def write_quality_reference(self, session: Session, reference: QualityReference) -> None:
        from engine.quality import keep_outputs

        data = self._data(session.texts_dir)
        keep_outputs(reference, _normalized(self._all_scores(session, data), data))

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        from engine.predictions import record_accuracy, record_agreement

        data = self._data(session.texts_dir)
        point: Point = {"dataset": data.name, "examples": len(data.rows)}
        scores = self._all_scores(session, data, meter)
        normalized = _normalized(scores, data)
        record_accuracy(meter, "accuracy_normalized", normalized.argmax(-1), data.labels, point)
        record_accuracy(meter, "accuracy", scores.argmax(-1), data.labels, point)
        record_agreement(meter, normalized, reference, point)

    def _data(self, texts_dir: Path) -> Labelled:
        return load_labelled(texts_dir, self.dataset, self.examples)

    def _all_scores(self, session: Session, data: Labelled, meter: Meter | None = None) -> Any:
        """Log-likelihoods (examples, choices) float32 on the CPU."""
        import torch

        from engine.predictions import finite

        rows = []
        for step, row in enumerate(data.rows, 1):
            if meter is not None and step % 20 == 1:
                meter.phase("answering questions", step, len(data.rows))
            rows.append(self._scores(session, row))
        return finite(torch.stack(rows), "accuracy")

    def _scores(self, session: Session, row: dict[str, Any]) -> Any:
        """Log-likelihood of each choice after the question, (choices,) float32 on the CPU; one padded call for all of them."""
        import torch

        context = _PROMPT.format(question=row["question"])
        start = len(session.tokenizer(context).input_ids)
        # Question and choice are tokenized together and cut at the question's length, as the harness does.
        encoded = [session.tokenizer(f"{context} {choice}").input_ids for choice in row["choices"]]
        width = max(map(len, encoded))
        # Padding stands at the end, where a causal model cannot look back at it from the tokens that count.
        ids = torch.tensor([e + [0] * (width - len(e)) for e in encoded], device=session.torch_device)
        mask = torch.tensor([[1] * len(e) + [0] * (width - len(e)) for e in encoded], device=session.torch_device)
        with torch.inference_mode():
            logits = session.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        found = []
        for one, tokens in zip(logits, encoded, strict=True):
            logp = torch.log_softmax(one[start - 1 : len(tokens) - 1].float(), dim=-1)
            targets = torch.tensor(tokens[start:], device=logp.device)
            found.append(logp.gather(1, targets[:, None]).sum())
        return torch.stack(found).cpu()


def _normalized(scores: Any, data: Labelled) -> Any:
    import torch

    return scores / torch.tensor([[float(len(c)) for c in row["choices"]] for row in data.rows])
