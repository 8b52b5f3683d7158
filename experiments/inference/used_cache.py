"""The KV cache of a real generation, for evidence: what it is, and what a packed one really holds."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from engine.measurement import Evidence
from engine.technique import Session

if TYPE_CHECKING:
    from experiments.inference.quantized_kv_cache import QuantizedKvCache

# What the technique calls an option, and what transformers' layers call it.
_READ_BACK = {"bits": "nbits", "group_size": "q_group_size", "residual_length": "residual_length"}


def used_cache(session: Session) -> Any:
    """What a generation of two tokens after a prompt of three leaves behind; None where nothing is kept."""
    import torch

    ids = torch.tensor([[1, 2, 3]], device=session.torch_device)
    compiled = session.compile_seconds is not None
    # compiling would take minutes, for a shape that nobody measures
    with torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext():
        out = session.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, min_new_tokens=2, do_sample=False,
            return_dict_in_generate=True, **session.call_options(1, ids.shape[1] + 2),
        )  # fmt: skip
    return out.past_key_values


def packed_evidence(asked: QuantizedKvCache, session: Session) -> Evidence:
    """What the layers of a used cache are and hold. `bytes_per_number` counts packed numbers with their scales and zeros.

    The prompt is packed at once, so a short one is proof enough; how many of the newest tokens wait unpacked is read and said.
    """
    from engine.memory import cache_bytes

    cache = used_cache(session)
    if type(cache).__name__ != "QuantizedCache":
        return Evidence({"cache": type(cache).__name__}, f"the cache is {type(cache).__name__}, not QuantizedCache")
    layers = cache.layers
    numbers = sum(layer._dequantize(t).numel() for layer in layers for t in (layer._quantized_keys, layer._quantized_values))
    waiting = sum(t.nbytes for layer in layers for t in (layer.keys, layer.values))
    held, before = (cache_bytes(cache) - waiting) / numbers, layers[0].keys.element_size()
    found = {option: sorted({getattr(layer, name) for layer in layers}) for option, name in _READ_BACK.items()}
    facts = {"cache": "QuantizedCache", "layers": dict(Counter(type(layer).__name__ for layer in layers)), **found,
             "bytes_per_number": round(held, 4), "bytes_per_number_before": before, "numbers_packed": numbers,
             "bytes_waiting_unpacked": waiting}  # fmt: skip
    wrong = [f"{option} is {found[option]}, {getattr(asked, option)} was asked for" for option in found if found[option] != [getattr(asked, option)]]
    if held >= before:
        wrong.append(f"a number takes {held:g} bytes, as many as it takes unpacked")
    return Evidence(facts, wrong[0] if wrong else None)
