"""Zero-shot multiple choice by log-likelihood, as lm-evaluation-harness does it: no example is shown, nothing is generated.

A choice's score is the log-likelihood of its tokens after the question (acc); normalized, it is divided by the choice's
characters (acc_norm). Letters and yes or no are scored in place of the choices where the harness does so, in harness_tasks.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from engine.labelled import Labelled, load_labelled, unusable
from engine.measurement import Point
from engine.technique import Session
from engine.workload import ProfiledStep, Workload
from experiments.workloads.harness_tasks import TASKS, HarnessTask

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.quality import QualityReference


class MultipleChoice(Workload):
    """A language model's zero-shot accuracy on multiple-choice questions (PIQA, BoolQ and others)."""

    name: ClassVar[str] = "multiple_choice"
    label: ClassVar[str] = "Multiple choice (zero-shot)"
    pads: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("load_seconds", "weight_bytes", "bits_per_parameter", "load_peak_memory_bytes", "seconds_per_example")
    quality_metrics: ClassVar[tuple[str, ...]] = ("accuracy_normalized", "accuracy", "prediction_agreement")
    decides: ClassVar[tuple[str, ...]] = ("seconds_per_example", "accuracy_normalized", "accuracy", "weight_bytes")

    dataset: Literal["piqa", "boolq", "commonsense_qa", "social_iqa", "openbookqa", "logiqa"] = Field(
        "piqa", description="Questions with their choices and the right answer, worded as lm-evaluation-harness words them"
    )
    examples: int = Field(1000, ge=8, le=100_000, description="Questions, from the start of the set")
    timed_examples: int = Field(20, ge=1, le=100_000, description="Of these, questions that are timed in each speed run")

    @property
    def task(self) -> HarnessTask:
        return TASKS[self.dataset]

    def unusable_data(self, texts_dir: Path) -> str | None:
        return unusable(texts_dir, self.dataset, self.examples)

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
        task = {"task": self.task.name, "task_version": self.task.version, "prompt": self.task.prompt}
        return self._data(texts_dir).protocol() | task | {"shots": 0, "normalized_by": "characters"}

    def write_quality_reference(self, session: Session, reference: QualityReference) -> None:
        from engine.quality import keep_outputs

        data = self._data(session.texts_dir)
        keep_outputs(reference, self._normalized(self._all_scores(session, data), data))

    def measure_quality(self, session: Session, meter: Meter, reference: QualityReference) -> None:
        from engine.predictions import record_accuracy, record_agreement

        data = self._data(session.texts_dir)
        point: Point = {"dataset": data.name, "examples": len(data.rows)}
        scores = self._all_scores(session, data, meter)
        normalized = self._normalized(scores, data)
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

    def _normalized(self, scores: Any, data: Labelled) -> Any:
        import torch

        return scores / torch.tensor([[float(len(c)) for c in self.task.choices(row)] for row in data.rows])

    def _scores(self, session: Session, row: dict[str, Any]) -> Any:
        """Log-likelihood of each choice after the question, (choices,) float32 on the CPU; one padded call for all of them."""
        import torch

        encoded = [_encode(session, self.task.context(row), choice) for choice in self.task.choices(row)]
        # Choices of one token each, like letters, come after the same tokens: those are seen once.
        seen = list(dict.fromkeys(tuple(tokens[:-1]) for tokens, _ in encoded))
        width = max(map(len, seen))
        # Padding stands at the end, where a causal model cannot look back at it from the tokens that count.
        ids = torch.tensor([[*s, *[0] * (width - len(s))] for s in seen], device=session.torch_device)
        mask = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in seen], device=session.torch_device)
        with torch.inference_mode():
            logits = session.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        found = []
        for tokens, scored in encoded:
            one = logits[seen.index(tuple(tokens[:-1]))]
            logp = torch.log_softmax(one[len(tokens) - 1 - scored : len(tokens) - 1].float(), dim=-1)
            targets = torch.tensor(tokens[len(tokens) - scored :], device=logp.device)
            found.append(logp.gather(1, targets[:, None]).sum())
        return torch.stack(found).cpu()


def _encode(session: Session, context: str, choice: str) -> tuple[list[int], int]:
    """(tokens of question and choice, how many at the end are the choice's), as the harness has them.

    Both are tokenized together and cut at the question's length. What is longer than the model's context is cut at its beginning.
    """
    start = len(session.tokenizer(context).input_ids)
    tokens = list(session.tokenizer(f"{context} {choice}").input_ids)
    limit = getattr(session.model.config, "max_position_embeddings", None)
    return (tokens[-(limit + 1) :] if limit else tokens), len(tokens) - start
