"""The attention implementations as functions of q, k, v, for measuring them without a model.

Owns how each one is called. Which one can run where is in availability.py, which one did run in kernel_names.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

Implementation = Literal["eager", "sdpa", "flash_attention_2", "flash_attn_4", "flex_attention", "tiled"]
Kernel = Literal["auto", "flash", "mem_efficient", "cudnn", "math"]

_BACKENDS = {"flash": "FLASH_ATTENTION", "mem_efficient": "EFFICIENT_ATTENTION", "cudnn": "CUDNN_ATTENTION", "math": "MATH"}


def only_kernel(kernel: Kernel) -> AbstractContextManager[None]:
    """Within it, scaled_dot_product_attention uses this kernel or raises RuntimeError; 'auto' leaves the choice to torch."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return nullcontext() if kernel == "auto" else sdpa_kernel(getattr(SDPBackend, _BACKENDS[kernel]))


def attention_call(implementation: Implementation, kernel: Kernel, length: int, device: str, causal: bool) -> Attend:
    """A function of q, k, v, each (batch, heads, length, head_dim), that returns the output in the same shape.

    What depends on the length alone, a mask for example, is made here and is not part of the call.
    """
    if implementation == "eager":
        return _standard(length, device, causal)
    if implementation == "sdpa":
        return _sdpa(kernel, causal)
    if implementation == "flex_attention":
        return _flex(length, device, causal)
    if implementation == "tiled":
        from experiments.attention.tiled import tiled_attention

        return lambda q, k, v: tiled_attention(q, k, v, causal)
    return _flash_package(implementation, causal)


def _standard(length: int, device: str, causal: bool) -> Attend:
    """Matrix product, softmax, matrix product: every score of every head is held at once."""
    import torch

    future = torch.ones(length, length, dtype=torch.bool, device=device).triu(1) if causal else None

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.shape[-1])
        if future is not None:
            scores = scores.masked_fill(future, -math.inf)
        return torch.matmul(torch.softmax(scores, dim=-1), v)

    return call


def _sdpa(kernel: Kernel, causal: bool) -> Attend:
    from torch.nn.functional import scaled_dot_product_attention

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with only_kernel(kernel):
            return scaled_dot_product_attention(q, k, v, is_causal=causal)

    return call


def _flex(length: int, device: str, causal: bool) -> Attend:
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch.compiler.reset()  # each length is compiled for itself; without this the ninth would silently not be compiled at all
    compiled = torch.compile(flex_attention, dynamic=False)
    mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, length, length, device=device) if causal else None
    return lambda q, k, v: compiled(q, k, v, block_mask=mask)


def _flash_package(implementation: Implementation, causal: bool) -> Attend:
    """flash-attn takes (batch, length, heads, head_dim); the transposes are views, nothing is copied."""
    if implementation == "flash_attn_4":
        from flash_attn.cute import flash_attn_func
    else:
        from flash_attn import flash_attn_func

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = flash_attn_func(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), causal=causal)
        return (out[0] if isinstance(out, tuple) else out).transpose(1, 2)

    return call
