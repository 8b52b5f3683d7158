"""Quality and fidelity of a language model on a text: perplexity, KL divergence, top-1 agreement.

Protocol: the first N tokens in disjoint windows of one context length; every token but a window's first is predicted;
log-softmax in float32. A window is one pass without a KV cache, which an exact cache would equal. Where the cache is not exact
(session.cache), the window goes through it as in decoding: its first tokens are the prompt, the others come after them in
steps, so that the number shows what the cache costs. Perplexity is exp of the token-weighted mean negative log-likelihood. Samples are blocks of 128
positions, because tokens beside each other are correlated and pairing by block keeps the interval honest.
The baseline's log-probabilities are kept as one .npy file per (model, text, baseline, machine), made again where absent.
Where they cannot be had, perplexity is measured all the same, and fidelity says why it is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
import torch

from engine.measurement import Status
from engine.meter import Meter
from engine.technique import Session

BLOCK = 128
FIDELITY = ("kl_divergence", "top1_agreement")
KEPT_REFERENCES = 4
"""Baseline files that stay on disk, newest first: one of SmolLM2 and 4,096 tokens takes 0.8 GB."""

_Output = tuple[torch.Tensor, torch.Tensor]


@dataclass
class QualityReference:
    """The baseline's outputs, float32: log-probabilities (predicted tokens, vocabulary), or one row per example.

    `is_baseline` says that this run is the baseline itself: it writes the file and is compared with nothing.
    `writes` is false in all ranks of a run but the first: they compute the same outputs.
    `problem` says why the file could not be made.
    """

    folder: Path
    identity: dict[str, Any]
    is_baseline: bool
    problem: str | None = None
    writes: bool = True

    @property
    def path(self) -> Path:
        key = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:32]
        return self.folder / f"{key}.npy"


def windows(session: Session, text: str, tokens: int, context: int) -> list[torch.Tensor]:
    """Disjoint windows of token ids, each (1, context) int64, of the first `tokens` tokens of the text.

    Raises ValueError if the text or the model's context is too short.
    """
    limit = getattr(session.model.config, "max_position_embeddings", None) or getattr(session.model.config, "n_positions", None)
    if limit and context > limit:
        raise ValueError(f"quality_context: the model has {limit} positions, {context} were asked for; use at most {limit}")
    # Twelve characters a token is more than any tokenizer needs on prose; it keeps the whole text out of the tokenizer.
    ids = session.tokenizer(text[: tokens * 12], return_tensors="pt").input_ids[0, :tokens]
    if len(ids) < tokens:
        raise ValueError(f"quality_tokens: the text has {len(ids)} tokens, {tokens} were asked for; ask for fewer")
    return [ids[i : i + context].unsqueeze(0) for i in range(0, tokens - context + 1, context)]


def log_probabilities(session: Session, chunks: list[torch.Tensor]) -> Iterator[_Output]:
    """For each window: (log-probabilities float32 (context - 1, vocabulary), targets int64 (context - 1,))."""
    for ids in chunks:
        ids = ids.to(session.torch_device)
        with torch.inference_mode():
            logits = _logits(session, ids)[0, :-1].float()
        yield torch.log_softmax(logits, dim=-1), ids[0, 1:]


def _logits(session: Session, ids: torch.Tensor) -> torch.Tensor:
    """(1, tokens, vocabulary) of a window."""
    # the mask says nothing new (no padding), but an exported graph has it as an input
    mask = torch.ones_like(ids)
    if session.cache is None or not session.cache.lossy_steps:
        return session.model(ids, attention_mask=mask, use_cache=False).logits  # type: ignore[no-any-return]
    cache, tokens = session.cache.new(1, ids.shape[1]), ids.shape[1]
    # the prompt's own tokens see each other exactly, so it is never more than half of the window
    ends, steps = [min(sum(session.cache.lossy_steps), tokens // 2)], itertools.cycle(session.cache.lossy_steps)
    while ends[-1] < tokens:
        ends.append(min(ends[-1] + next(steps), tokens))
    parts = [
        session.model(ids[:, start:end], attention_mask=mask[:, :end], past_key_values=cache, use_cache=True).logits
        for start, end in itertools.pairwise([0, *ends])
    ]
    return torch.cat(parts, dim=1)


class _Writer:
    """Writes log-probabilities window by window; the file appears under its name only when it is whole, else not at all."""

    def __init__(self, reference: QualityReference, rows: int) -> None:
        self._final, self._rows, self._row = reference.path, rows, 0
        self._temporary = self._final.with_suffix(f".{os.getpid()}.tmp")
        self._array: np.memmap[Any, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # absent where the file is whole; what cannot be deleted is swept by a later writer
            self._temporary.unlink()

    def append(self, logp: torch.Tensor) -> None:
        """Raises OSError with the sizes if the disk is too full for the whole file, ValueError for what is no number."""
        if logp.isnan().any():
            raise ValueError("the baseline's outputs are not numbers")
        if self._array is None:
            self._final.parent.mkdir(parents=True, exist_ok=True)
            _sweep(self._final.parent)
            needed, free = self._rows * logp.shape[1] * 4, shutil.disk_usage(self._final.parent).free
            if needed + 2**28 > free:
                raise OSError(f"no_disk: the baseline's outputs need {needed >> 20} MiB; {free >> 20} MiB are free in {self._final.parent}")
            self._array = np.lib.format.open_memmap(self._temporary, mode="w+", dtype=np.float32, shape=(self._rows, logp.shape[1]))
        self._array[self._row : self._row + logp.shape[0]] = logp.cpu().numpy()
        self._row += logp.shape[0]
        if self._row == self._rows:
            self._array.flush()
            self._temporary.replace(self._final)
            _forget_older(self._final.parent)


def _forget_older(folder: Path) -> None:
    """Delete all but the newest files; whoever still needs one makes it again, whoever reads one keeps it."""
    newest_first = sorted(folder.glob("*.npy"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    for path in newest_first[KEPT_REFERENCES:]:
        path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Delete the unfinished files of processes that were killed while they wrote; they would fill the disk unseen."""
    for path in folder.glob("*.tmp"):
        pid = path.suffixes[-2].removeprefix(".") if len(path.suffixes) > 1 else ""
        if pid.isdecimal() and (int(pid) == os.getpid() or not psutil.pid_exists(int(pid))):
            path.unlink(missing_ok=True)


def _kept(outputs: Iterator[_Output], reference: QualityReference, rows: int) -> Iterator[_Output]:
    """Pass the outputs on and write them by the way. A disk that refuses is noted as the reference's problem."""
    with _Writer(reference, rows) as writer:
        for logp, targets in outputs:
            if reference.problem is None:
                try:
                    writer.append(logp)
                except OSError as error:
                    reference.problem = f"the baseline's logits could not be kept: {error}"
            yield logp, targets


def write_reference(session: Session, chunks: list[torch.Tensor], reference: QualityReference) -> None:
    """Compute and keep the baseline's log-probabilities, without measuring."""
    with _Writer(reference, _predicted(chunks)) as writer:
        for logp, _ in log_probabilities(session, chunks):
            if reference.writes:
                writer.append(logp)


def keep_outputs(reference: QualityReference, outputs: torch.Tensor) -> None:
    """Keep the baseline's outputs (examples, anything) as float32, where they are not kept already.

    A disk that refuses is noted as the reference's problem.
    """
    if reference.path.exists():
        return
    try:
        with _Writer(reference, outputs.shape[0]) as writer:
            writer.append(outputs.float())
    except OSError as error:
        reference.problem = f"the baseline's outputs could not be kept: {error}"


def baseline_outputs(
    reference: QualityReference, own: torch.Tensor, meter: Meter, metric: str, point: dict[str, Any]
) -> torch.Tensor | None:
    """The baseline's outputs on the CPU, to compare `own` with. None where there is nothing to compare with:

    the baseline's own run leaves its outputs behind; where they could not be made, `metric` gets a point that says why.
    """
    if reference.is_baseline:
        keep_outputs(reference, own)
        return None
    if reference.problem:
        meter.record_failure((metric,), point, Status.FAILED, reference.problem)
        return None
    return torch.from_numpy(np.load(reference.path))


def _predicted(chunks: list[torch.Tensor]) -> int:
    return sum(c.shape[1] - 1 for c in chunks)


def perplexity(session: Session, meter: Meter, chunks: list[torch.Tensor], metric: str, point: dict[str, Any]) -> None:
    """Record a perplexity under its own metric, and compare it with nothing."""
    outputs = log_probabilities(session, chunks)
    _record_perplexity(meter, metric, [_nll(*block) for logp, targets in outputs for block in _blocks(logp, targets)], point)


def _blocks(logp: torch.Tensor, targets: torch.Tensor) -> Iterator[_Output]:
    """The outputs of one window in pieces of BLOCK positions."""
    return zip(logp.split(BLOCK), targets.split(BLOCK), strict=True)


def _nll(block: torch.Tensor, target: torch.Tensor) -> tuple[float, int]:
    """(summed negative log-likelihood, tokens) of a block."""
    return -block.gather(1, target[:, None]).sum().item(), block.shape[0]


def _record_perplexity(meter: Meter, metric: str, nll: list[tuple[float, int]], point: dict[str, Any]) -> None:
    mean = _weighted(nll)
    if not math.isfinite(mean) or mean > 700:
        raise ValueError(f"{metric}: the model's mean negative log-likelihood is {mean}; its outputs are not numbers")
    meter.record(metric, [math.exp(s / n) for s, n in nll], point, value=math.exp(mean))


def measure(session: Session, meter: Meter, chunks: list[torch.Tensor], reference: QualityReference, point: dict[str, Any]) -> None:
    """Record perplexity, and against the reference KL divergence and top-1 agreement. The baseline leaves the reference behind.

    What keeps the baseline from writing the file is noted in `reference.problem`: its perplexity does not need the file.
    """
    if session.cache is not None and session.cache.lossy_steps:
        meter.details["quality_through_cache"] = {"tokens_at_once": session.cache.lossy_steps}
    base = None if reference.is_baseline or reference.problem else np.load(reference.path, mmap_mode="r")
    outputs = log_probabilities(session, chunks)
    if reference.is_baseline and reference.writes and not reference.path.exists():
        outputs = _kept(outputs, reference, _predicted(chunks))
    nll: list[tuple[float, int]] = []
    kl: list[tuple[float, int]] = []
    same: list[tuple[float, int]] = []
    row = 0
    for step, (logp, targets) in enumerate(outputs, 1):
        meter.phase("perplexity", step, len(chunks))
        for block, target in _blocks(logp, targets):
            n = block.shape[0]
            nll.append(_nll(block, target))
            if base is not None:
                q = torch.from_numpy(np.array(base[row : row + n])).to(block.device)
                kl.append(((q.exp() * (q - block)).sum().item(), n))
                same.append(((q.argmax(1) == block.argmax(1)).sum().item(), n))
            row += n
    _record_perplexity(meter, "perplexity", nll, point)
    if base is not None:
        # A divergence is never negative; rounding may leave -1e-9 where the variant equals the baseline.
        meter.record("kl_divergence", [max(s / n, 0.0) for s, n in kl], point, value=max(_weighted(kl), 0.0))
        meter.record("top1_agreement", [s / n for s, n in same], point, value=_weighted(same))
    elif not reference.is_baseline:
        meter.record_failure(FIDELITY, point, Status.FAILED, str(reference.problem))


def _weighted(blocks: list[tuple[float, int]]) -> float:
    return sum(s for s, _ in blocks) / sum(n for _, n in blocks)
