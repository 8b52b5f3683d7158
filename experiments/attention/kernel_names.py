"""Which attention kernel ran: read from a profile of a call, never from a setting."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from engine.technique import Session
from experiments.attention.kernels import Implementation, Kernel, attention_call

_OF_KERNEL = {
    "flash": "aten::_scaled_dot_product_flash_attention", "mem_efficient": "aten::_scaled_dot_product_efficient_attention",
    "cudnn": "aten::_scaled_dot_product_cudnn_attention", "math": "aten::_scaled_dot_product_attention_math",
}  # fmt: skip
_TELLING = ("attention", "softmax", "flash", "flex", "CompiledFxGraph", "aten::maximum", "fmha")


_LENGTH = 64


def small_call(session: Session) -> Callable[[], Any]:
    """One small forward pass of the session's model, or of its attention in the number type and size of its workload."""
    import torch

    device = session.torch_device
    if session.model is not None:
        ids = torch.arange(2, 18, device=device).unsqueeze(0)
        autocast = contextlib.nullcontext if session.training is None else session.training.autocast

        def in_model() -> Any:
            with autocast():
                return session.model(input_ids=ids)

        return in_model
    options = {"dtype": "float32", "head_dim": 64, "causal": False} | (session.workload.model_dump() if session.workload else {})
    q, k, v = torch.randn(3, 1, 2, _LENGTH, options["head_dim"]).to(device, getattr(torch, options["dtype"]))
    if session.attention is None:
        call = attention_call("eager", "auto", _LENGTH, device, options["causal"])
    else:
        call = session.attention(_LENGTH, device, options["causal"])
    return lambda: call(q, k, v)


def profiled(call: Callable[[], Any], device: str) -> list[str]:
    """Names of what ran that tell of attention, operators and GPU kernels, sorted. The second call counts: the first may compile."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with torch.inference_mode():
        call()
        with profile(activities=activities) as found:
            call()
            if device == "cuda":
                torch.cuda.synchronize()
    names = {event.key for event in found.key_averages()}
    return sorted(n[:160] for n in names if any(word in n for word in _TELLING))


def contradiction(implementation: Implementation, kernel: Kernel, names: list[str]) -> str | None:
    """What the names say against the choice; None if they confirm it."""
    if _matches(implementation, kernel, names):
        return None
    choice = f"sdpa with kernel {kernel}" if implementation == "sdpa" else implementation
    return f"{choice} was chosen, but this ran: {', '.join(names) or 'no attention kernel that is known here'}"


def _matches(implementation: Implementation, kernel: Kernel, names: list[str]) -> bool:
    def there(*parts: str) -> bool:
        return any(part in name for name in names for part in parts)

    # In a model that torch compiled, what is made of plain operators has no name of its own; fused kernels keep theirs.
    nameless = there("CompiledFxGraph") and not there("scaled_dot_product", "softmax", "flash")
    if implementation == "sdpa":
        return there(_OF_KERNEL.get(kernel, "scaled_dot_product")) or (kernel == "math" and nameless)
    if there("scaled_dot_product"):
        return False
    if implementation == "eager":
        return (there("softmax") and not there("flash", "flex")) or nameless
    if implementation == "tiled":
        return "aten::maximum" in names and not there("softmax")
    return there("flex") or nameless if implementation == "flex_attention" else there("flash")
