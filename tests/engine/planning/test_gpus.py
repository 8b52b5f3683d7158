"""Names and sizes of GPUs."""

from __future__ import annotations

import pytest

from engine.planning import gpus


@pytest.mark.parametrize(("text", "size"), [
    ("H200", 143_771 * 2**20), ("h100", 81_559 * 2**20), ("24GB", 24 * 10**9), ("24 GiB", 24 * 2**30), ("0.75gib", 3 * 2**28), ("900MB", 9 * 10**8),
])  # fmt: skip
def test_a_gpu_or_a_size(text: str, size: int) -> None:
    found = gpus.memory(text)
    assert (found.total_bytes, found.usable_bytes) == (size, size - 2**29)


@pytest.mark.parametrize("text", ["H10", "24", "", "-3GB", "24TB", "1e3GB", "512MiB", "0GB"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match="^memory: "):
        gpus.memory(text)


def test_known_gpus_are_read_as_they_are_named() -> None:
    assert all(gpus.memory(name).name == name for name in gpus.known())
