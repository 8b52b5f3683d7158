"""The chapter's table of number formats, asked of torch."""

from __future__ import annotations

import pytest
import torch


def test_the_chapters_table_of_number_formats() -> None:
    bits = {torch.float32: 32, torch.float16: 16, torch.bfloat16: 16, torch.int8: 8}
    assert all((torch.finfo if t.is_floating_point else torch.iinfo)(t).bits == n for t, n in bits.items())
    assert torch.finfo(torch.float16).max == 65_504
    assert torch.finfo(torch.float32).max == pytest.approx(3.4e38, rel=0.01)
    assert torch.finfo(torch.bfloat16).max == pytest.approx(torch.finfo(torch.float32).max, rel=0.01)
    assert (torch.iinfo(torch.int8).min, torch.iinfo(torch.int8).max) == (-128, 127)
    assert (-(2**3), 2**3 - 1) == (-8, 7), "four bits in two's complement"
    resolutions = {torch.float32: (2**-23, 7), torch.float16: (2**-10, 3), torch.bfloat16: (2**-7, 2)}
    for kind, (step, digits) in resolutions.items():
        assert torch.finfo(kind).eps == step
        assert 10 ** -(digits + 1) < step < 10 ** -(digits - 1), "about that many decimal digits"
