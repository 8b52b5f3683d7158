"""A static KV cache that is allocated once and emptied for each generation.

generate() would make a new one for each call, inside of what is compiled where the forward pass is: then its addresses change from
call to call, and torch.compile's CUDA graphs, which are recorded for fixed addresses, are left out or recorded again.
"""

from __future__ import annotations

from typing import Any

from engine.technique import Session


class StaticCaches:
    """Hands out the same cache, empty, for as long as its size fits exactly. Reads what the layers keep from one token's real ones."""

    def __init__(self, session: Session) -> None:
        import torch

        self._config = session.model.config.get_text_config(decoder=True)
        with torch.no_grad():
            one = torch.tensor([[1]], device=session.torch_device)
            self._seen = session.model(one, use_cache=True).past_key_values.layers
        self._size: tuple[int, int] | None = None
        self._cache: Any = None

    def new(self, sequences: int, positions: int) -> Any:
        if self._size == (sequences, positions):
            self._cache.reset()
            return self._cache
        from transformers import StaticCache

        self._cache = None  # two of them may not fit
        self._cache = StaticCache(config=self._config, max_cache_len=positions)
        for layer, seen in zip(self._cache.layers, self._seen, strict=True):
            empty = [t.new_empty((sequences, t.shape[1], 0, t.shape[3])) for t in (seen.keys, seen.values)]
            layer.lazy_initialization(*empty)
        self._size = (sequences, positions)
        return self._cache
