"""How exact an attention output is: against float64 on the same inputs, on as many query rows as fit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 128
"""Query rows that are checked per head, spread evenly, first and last among them: all n x n scores in float64 would not fit."""


def head_errors(q: Tensor, k: Tensor, v: Tensor, out: Tensor, causal: bool) -> list[float]:
    """For each sequence and head, the largest |out - reference| over the checked rows / the largest |reference| of all.

    q, k, v, out: (batch, heads, n, d). The reference starts from the inputs as they are, rounded to their type already.
    """
    import torch

    n = q.shape[-2]
    rows = torch.linspace(0, n - 1, min(n, ROWS), dtype=torch.float64).round().long().to(q.device)
    future = torch.arange(n, device=q.device) > rows[:, None]
    errors, largest = [], 0.0
    for qh, kh, vh, oh in zip(*(t.detach().flatten(0, 1) for t in (q, k, v, out)), strict=True):  # head by head, to fit
        scores = qh[rows].double() @ kh.double().T / math.sqrt(q.shape[-1])
        if causal:
            scores = scores.masked_fill(future, -math.inf)
        exact = torch.softmax(scores, dim=-1) @ vh.double()
        errors.append(float((oh[rows].double() - exact).abs().max()))
        largest = max(largest, float(exact.abs().max()))
    return [e / largest for e in errors]
