"""The tiled algorithm is attention, to rounding; the chapter's simplified pseudo-code is not, and this says by how much."""

from __future__ import annotations

import math

import pytest
import torch

from experiments.attention.tiled import tiled_attention

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def inputs(n: int, d: int = 64, dtype: torch.dtype = torch.float32, heads: int = 3) -> Tensors:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, heads, n, d, generator=generator).to(dtype) for _ in range(3))
    return q, k, v


def standard(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool = False) -> torch.Tensor:
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -math.inf)
    return torch.softmax(scores, dim=-1) @ v


def error(out: torch.Tensor, exact: torch.Tensor) -> float:
    return float((out.double() - exact).abs().max())


def chapter_pseudo_code(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, block: int) -> torch.Tensor:
    """As printed there: softmax within each block of keys, results added."""
    out = torch.zeros_like(q)
    for j in range(0, k.shape[-2], block):
        weights = torch.softmax(q @ k[..., j : j + block, :].transpose(-2, -1) / math.sqrt(q.shape[-1]), dim=-1)
        out += weights @ v[..., j : j + block, :]
    return out


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("n", [1, 7, 128, 129, 300, 512])
def test_as_exact_as_standard_attention_in_float32(n: int, causal: bool) -> None:
    """Also where the last tile is ragged, and where there is one tile only."""
    q, k, v = inputs(n)
    exact = standard(q.double(), k.double(), v.double(), causal)
    tiled, plain = error(tiled_attention(q, k, v, causal), exact), error(standard(q, k, v, causal), exact)
    assert tiled <= 1e-6
    assert tiled <= 2 * plain + 1e-9


@pytest.mark.parametrize("tile", [1, 16, 37, 1000])
def test_the_size_of_a_tile_changes_nothing(tile: int) -> None:
    q, k, v = inputs(100, dtype=torch.float64)
    assert error(tiled_attention(q, k, v, causal=True, tile=tile), standard(q, k, v, causal=True)) < 1e-13


def test_scores_that_would_overflow_an_exponential() -> None:
    """exp(200) is beyond float32: without the running maximum this is not a number."""
    q, k, v = inputs(256)
    exact = standard(q.double() * 200, k.double(), v.double())
    out = tiled_attention(q * 200, k, v)
    assert torch.isfinite(out).all()
    assert error(out, exact) <= 2 * error(standard(q * 200, k, v), exact)


def test_queries_and_keys_of_different_lengths() -> None:
    q, _, _ = inputs(70, dtype=torch.float64)
    _, k, v = inputs(333, dtype=torch.float64)
    assert error(tiled_attention(q, k, v), standard(q, k, v)) < 1e-13


def test_bfloat16_is_summed_in_float32() -> None:
    q, k, v = inputs(512, dtype=torch.bfloat16)
    out = tiled_attention(q, k, v)
    assert out.dtype == torch.bfloat16
    exact = standard(q.double(), k.double(), v.double())
    assert error(out, exact) <= error(standard(q, k, v), exact)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_gradients_are_those_of_standard_attention(causal: bool) -> None:
    tiled, plain = inputs(150, dtype=torch.float64), inputs(150, dtype=torch.float64)
    for tensors, attention in ((tiled, tiled_attention), (plain, standard)):
        for t in tensors:
            t.requires_grad_()
        (attention(*tensors, causal) ** 2).sum().backward()
    for a, b in zip(tiled, plain, strict=True):
        assert a.grad is not None and b.grad is not None
        assert error(a.grad, b.grad) < 1e-12


def test_the_simplified_pseudo_code_of_the_chapter_is_wrong_and_by_how_much() -> None:
    """With one block it is attention. With t blocks its weights sum to t: on ones for V it answers t instead of 1."""
    q, k, v = inputs(512)
    exact = standard(q.double(), k.double(), v.double())
    assert error(chapter_pseudo_code(q, k, v, block=512), exact) < 1e-5
    relative = [error(chapter_pseudo_code(q, k, v, block), exact) / float(exact.abs().max()) for block in (256, 128, 64)]
    assert relative == sorted(relative) and relative[0] > 0.5, "an error of the size of the answer, growing with the blocks"
    ones = torch.ones_like(v)
    for blocks in (1, 2, 4, 8):
        wrong = chapter_pseudo_code(q, k, ones, block=512 // blocks)
        assert torch.allclose(wrong, torch.full_like(wrong, blocks), atol=1e-4)
        assert torch.allclose(tiled_attention(q, k, ones, tile=512 // blocks), ones, atol=1e-5)
