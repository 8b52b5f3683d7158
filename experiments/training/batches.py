"""Batches of token ids for training: windows of a text in an order that is the same for every variant and number of ranks.

Each step's sequences are dealt out to the ranks by torch's DistributedSampler, so the global batch is the same set
whether one process trains on it or four.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.technique import Session
from engine.texts import load_training_text

if TYPE_CHECKING:
    import torch


class Windows:
    """Disjoint windows of token ids, each (length,) int64: a map-style dataset for torch's DataLoader."""

    def __init__(self, ids: torch.Tensor, length: int) -> None:
        if len(ids) < length:
            raise ValueError(f"seq_len: the text has {len(ids)} tokens, {length} were asked for; ask for fewer")
        self._ids = ids[: len(ids) // length * length].reshape(-1, length)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._ids[index]


def token_ids(session: Session, needed: int) -> torch.Tensor:
    """The first `needed` tokens of the training text, fewer where it is shorter; random ids for a shape, which has no tokenizer."""
    import torch

    if session.tokenizer is None:
        generator = torch.Generator().manual_seed(session.seed)
        return torch.randint(3, session.model.config.vocab_size, (needed,), generator=generator)
    text = load_training_text(session.texts_dir).content
    # Twelve characters a token is more than any tokenizer needs on prose; it keeps the whole text out of the tokenizer.
    ids: torch.Tensor = session.tokenizer(text[: needed * 12], return_tensors="pt").input_ids[0, :needed]
    return ids


def batches(windows: Windows, per_rank: int, seed: int, device: str, rank: int = 0, ranks: int = 1) -> Iterator[torch.Tensor]:
    """Micro-batches (per_rank, length) int64 on the device, for ever: epoch after epoch, each in an order of its own.

    Raises ValueError if the text is too short for one batch of all ranks.
    """
    from torch.utils.data import DataLoader
    from torch.utils.data.distributed import DistributedSampler

    if len(windows) < per_rank * ranks:
        raise ValueError(f"batch_sizes: the text has {len(windows)} windows, a batch needs {per_rank * ranks}; use smaller batches or windows")
    sampler: Any = DistributedSampler(windows, ranks, rank, shuffle=True, seed=seed, drop_last=True)
    loader: Any = DataLoader(windows, batch_size=per_rank, sampler=sampler, drop_last=True)
    epoch = 0
    while True:
        sampler.set_epoch(epoch)
        for batch in loader:
            yield batch.to(device)
        epoch += 1
