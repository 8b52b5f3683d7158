"""A streamer that notes when each new token reached the host. Handing a token over waits for the device."""

from __future__ import annotations

import time
from typing import Any

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
