"""Streamers that watch generate() token by token: one notes when each reached the host, one names the parts in a profile.

Handing a token over waits for the device.
"""

from __future__ import annotations

import time
from typing import Any

from torch.profiler import record_function
from transformers.generation.streamers import BaseStreamer


class TokenStamps(BaseStreamer):
    """`times`: time.perf_counter() of each new token, in order; one entry per decoding step whatever the batch size."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._prompt_seen = False

    def put(self, value: Any) -> None:
        # generate() hands over the prompt first
        if self._prompt_seen:
            self.times.append(time.perf_counter())
        self._prompt_seen = True

    def end(self) -> None:
        pass


class TokenRegions(BaseStreamer):
    """In a profile: the region `prefill` up to the first new token, then a region `decode` for each of the others."""

    def __init__(self, new_tokens: int) -> None:
        self._tokens = self._left = new_tokens
        self._region: record_function | None = None

    def put(self, value: Any) -> None:
        self.end()
        if self._left > 0:  # generate() hands over the prompt first, then each new token
            self._region = record_function("prefill" if self._left == self._tokens else "decode")
            self._region.__enter__()
            self._left -= 1

    def end(self) -> None:
        if self._region is not None:
            self._region.__exit__(None, None, None)
            self._region = None
