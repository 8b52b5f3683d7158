"""Memory counters of the child process: bytes counted from storage, and high-water marks.

Five different numbers exist (performance notes in DESIGN); each function here says which one it returns.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch


def storage_bytes(*roots: Any) -> int:
    """Bytes of all distinct tensor storages reachable from modules or tensors: packed weights, scales and states included.

    `get_memory_footprint()` misses the packed tensors of dynamic int8 and torchao; this walks the real objects.
    """
    # all at once: unpacked copies are temporary, and the address of one that was freed would be taken for the next one's
    tensors = [tensor for root in roots for tensor in _tensors(root, {})]
    seen: dict[tuple[str, int], int] = {}
    for tensor in tensors:
        storage = tensor.untyped_storage()
        if storage.nbytes():
            seen[(str(tensor.device), storage.data_ptr())] = storage.nbytes()
    return sum(seen.values())


def _tensors(obj: Any, visited: dict[int, Any]) -> Iterator[torch.Tensor]:
    if id(obj) in visited or obj is None or isinstance(obj, (str, bytes, int, float, bool, type)):
        return
    visited[id(obj)] = obj  # kept alive, so that its id stays its own
    if isinstance(obj, torch.Tensor):
        yield from _of_tensor(obj, visited)
    elif isinstance(obj, torch.ScriptObject):
        # torch's packed linear parameters: the only way to their bytes is to unpack them
        if "LinearPackedParams" in str(obj._type()):
            yield from (t for t in torch.ops.quantized.linear_unpack(obj) if t is not None)
    elif isinstance(obj, torch.nn.Module):
        for value in (*obj._parameters.values(), *obj._buffers.values(), *obj._modules.values()):
            yield from _tensors(value, visited)
        for name, value in vars(obj).items():
            if name not in ("_parameters", "_buffers", "_modules"):
                yield from _tensors_of_plain(value, visited)


def _of_tensor(tensor: torch.Tensor, visited: dict[int, Any]) -> Iterator[torch.Tensor]:
    flatten = getattr(type(tensor), "__tensor_flatten__", None)
    if flatten is not None:
        for name in tensor.__tensor_flatten__()[0]:  # type: ignore[attr-defined]
            yield from _tensors(getattr(tensor, name), visited)
        return
    yield tensor
    for value in vars(tensor).values():  # bitsandbytes keeps scales and quantization states as attributes of the tensor
        yield from _tensors_of_plain(value, visited)


def _tensors_of_plain(value: Any, visited: dict[int, Any]) -> Iterator[torch.Tensor]:
    """Tensors one level into states and containers, never into modules again (they are walked by their parents)."""
    if isinstance(value, (torch.Tensor, torch.ScriptObject)):
        yield from _tensors(value, visited)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors_of_plain(item, visited)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors_of_plain(item, visited)
    elif type(value).__module__.startswith(("bitsandbytes", "torch.ao")) and hasattr(value, "__dict__") and id(value) not in visited:
        visited[id(value)] = value
        for item in vars(value).values():
            yield from _tensors_of_plain(item, visited)


def logical_elements(parameters: Iterable[Any]) -> int:
    """Numbers that the parameters stand for: `numel` counts two of them as one where bitsandbytes has packed them."""
    total = 0
    for parameter in parameters:
        state = getattr(parameter, "quant_state", None)
        total += state.shape.numel() if state is not None else parameter.numel()
    return total


_HELD = ("keys", "values", "_quantized_keys", "_quantized_values")


def cache_bytes(cache: Any) -> int:
    """Bytes held by a KV cache (0 for None): every layer's keys and values, preallocated room included.

    Of quantized layers: the packed numbers with their scales and zeros, and the newest tokens, which are not quantized yet.

    cache: a transformers Cache, or tuples of tensors as ONNX Runtime models return.
    """
    if cache is None:
        return 0
    if isinstance(cache, tuple):
        return storage_bytes(*(tensor for layer in cache for tensor in layer))
    held = [getattr(layer, name, None) for layer in cache.layers for name in _HELD]
    return storage_bytes(*_tensors_of_plain(held, {}))


def release(device: str) -> None:
    """Give back what nothing holds any more, so that whatever is loaded next finds the room."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def reset_peak(device: str) -> bool:
    """Start a new high-water mark. False if this machine cannot (then a peak is not measured, not guessed)."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return True
    _return_freed_pages()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _return_freed_pages() -> None:
    """Give what loading and converting freed back to the system, else it would count as memory of the call."""
    with contextlib.suppress(AttributeError, OSError):  # malloc_trim is glibc's; elsewhere the mark is a little higher
        ctypes.CDLL(None).malloc_trim(0)


def peaks(device: str) -> dict[str, int]:
    """Metric name -> bytes since `reset_peak`: allocator peaks on a GPU, VmHWM of the process on a CPU."""
    if device == "cuda":
        torch.cuda.synchronize()
        return {
            "peak_memory_bytes": torch.cuda.max_memory_allocated(),
            "reserved_memory_bytes": torch.cuda.max_memory_reserved(),
        }
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return {"peak_memory_bytes": int(line.split()[1]) * 1024}
    return {}
