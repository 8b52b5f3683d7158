"""Tiled attention in plain PyTorch: the algorithm behind FlashAttention, to be read, not to be fast.

Standard attention keeps a row of n scores for each query. It need not: softmax can be summed tile by tile over the keys,
if two numbers per query are carried along, the largest score so far m and the sum of exponentials l relative to it.
With S = Q K_j' / sqrt(d), the scores of one tile of keys j, and O, the output not yet divided by its sum:

    m_new = max(m, rowmax(S))
    P     = exp(S - m_new)                      # never above 1, so nothing overflows
    r     = exp(m - m_new)                      # what was summed so far had been scaled by the old maximum
    l     = r * l + rowsum(P)
    O     = r * O + P V_j
    m     = m_new

After the last tile the output is O / l: exactly softmax over all keys, in whatever tiles they came. Memory grows with
n x tile, not with n x n. Taking softmax within each tile and adding the results, as simplified versions do, is something
else: each tile's weights then sum to 1, so the sum over t tiles has weights that sum to t.

Must stay a lesson: no kernel tricks. FlashAttention (https://arxiv.org/abs/2205.14135, algorithm 1) does this in on-chip
memory; the deferred division is FlashAttention-2's (https://arxiv.org/abs/2307.08691, section 3.1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TILE = 128


def tiled_attention(q: Tensor, k: Tensor, v: Tensor, causal: bool = False, tile: int = TILE) -> Tensor:
    """softmax(q k' / sqrt(d)) v, tile by tile.

    q (..., n, d), k (..., m, d), v (..., m, e) of one floating dtype; returns (..., n, e) in it. Lengths need not be
    multiples of the tile. causal: query i sees keys 0 to i. Sums are kept in float32 at least, as the fused kernels do.
    """
    import torch

    return torch.cat([_rows(q, k, v, causal, tile, start) for start in range(0, q.shape[-2], tile)], dim=-2)


def _rows(q: Tensor, k: Tensor, v: Tensor, causal: bool, tile: int, start: int) -> Tensor:
    """The output of one tile of queries, from `start` on."""
    import torch

    wide = torch.promote_types(q.dtype, torch.float32)
    rows = q[..., start : start + tile, :].to(wide) / math.sqrt(q.shape[-1])
    last = start + rows.shape[-2]
    maximum = torch.full_like(rows[..., :1], -math.inf)
    total = torch.zeros_like(maximum)
    output = rows.new_zeros((*rows.shape[:-1], v.shape[-1]))
    for first in range(0, min(k.shape[-2], last) if causal else k.shape[-2], tile):  # no tile lies wholly in the future
        keys, values = (t[..., first : first + tile, :].to(wide) for t in (k, v))
        scores = rows @ keys.transpose(-2, -1)
        if causal:
            query = torch.arange(start, last, device=q.device)[:, None]
            key = torch.arange(first, first + keys.shape[-2], device=q.device)
            scores = scores.masked_fill(key > query, -math.inf)
        new = torch.maximum(maximum, scores.amax(dim=-1, keepdim=True))
        weights = torch.exp(scores - new)
        rescale = torch.exp(maximum - new)
        total = rescale * total + weights.sum(dim=-1, keepdim=True)
        output = rescale * output + weights @ values
        maximum = new
    return (output / total).to(q.dtype)
