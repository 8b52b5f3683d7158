"""The quantized KV cache of transformers: what a backend needs, how one is made, and what a used one really holds.

A used cache holds all but its newest tokens packed; those wait, as they are, until there are enough of them, and then all of it
is packed anew. Each step of attention unpacks the whole cache, so it saves memory and costs time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from engine.environments import installed
from engine.measurement import Evidence
from engine.technique import LossyCache, UnsupportedHereError

if TYPE_CHECKING:
    from experiments.inference.kv_cache import KvCache

BITS = {"hqq": (2, 4, 8), "quanto": (2, 4)}
_PACKAGE = {"hqq": "hqq", "quanto": "optimum-quanto"}
_LAYER = {"hqq": "HQQQuantizedLayer", "quanto": "QuantoQuantizedLayer"}
_READ_BACK = {"nbits": "nbits", "group_size": "q_group_size", "residual_length": "residual_length"}
# The axis by which each backend takes consecutive numbers of one head's vector for a group.
_AXIS = {"hqq": 1, "quanto": 0}


def missing_package(backend: str) -> str | None:
    """In words, with the command that installs it; None if it is there."""
    package = _PACKAGE[backend]
    return None if installed(package) else f"backend {backend} needs {package}: pip install {package}"


def lossy_cache(model: Any, asked: KvCache) -> LossyCache:
    """Makes the caches of a model. Raises UnsupportedHereError in words where its layers or heads do not allow them."""
    from transformers import QuantizedCache

    config, axis = model.config.get_text_config(decoder=True), _AXIS[asked.backend]
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    # hqq packs several groups into a row, which for an odd number of tokens only works out if each head's vector fills whole rows
    least = 8 // asked.nbits if asked.backend == "hqq" else 1
    if size % (asked.group_size * least):
        fitting = [g for g in (8, 16, 32, 64) if size % (g * least) == 0]
        advice = f"choose {' or '.join(map(str, fitting))}" if fitting else "choose more bits"
        raise UnsupportedHereError(
            f"kv_cache: group_size: heads of {size} numbers cannot be packed in groups of {asked.group_size} with {asked.nbits} bits; {advice}"
        )

    def new() -> Any:
        return QuantizedCache(
            asked.backend, model.config, nbits=asked.nbits, axis_key=axis, axis_value=axis, q_group_size=asked.group_size,
            residual_length=asked.residual_length,
        )  # fmt: skip

    try:
        new()
    except ValueError as error:
        raise UnsupportedHereError(f"kv_cache: {error}") from error
    # The last of `residual_length` waiting tokens comes alone: older transformers look at the length before it is added.
    return LossyCache(new, (asked.residual_length - 1, 1) if asked.residual_length > 1 else (1,))


def evidence(cache: Any, asked: KvCache) -> Evidence:
    """What the layers of a used QuantizedCache are and hold. `bytes_per_number` counts packed numbers with their scales and zeros.

    The prompt is packed at once, so a short one is proof enough; how many of the newest tokens wait unpacked is read and said.
    """
    from engine.memory import cache_bytes

    layers, classes = cache.layers, Counter(type(layer).__name__ for layer in cache.layers)
    numbers = sum(layer._dequantize(t).numel() for layer in layers for t in (layer._quantized_keys, layer._quantized_values))
    waiting = sum(t.nbytes for layer in layers for t in (layer.keys, layer.values))
    held, before = (cache_bytes(cache) - waiting) / numbers, layers[0].keys.element_size()
    found = {option: sorted({getattr(layer, name) for layer in layers}) for option, name in _READ_BACK.items()}
    facts = {"cache": type(cache).__name__, "layers": dict(classes), **found, "bytes_per_number": round(held, 4), "bytes_per_number_before": before,
             "numbers_packed": numbers, "bytes_waiting_unpacked": waiting}  # fmt: skip
    wrong = [f"{option} is {found[option]}, {getattr(asked, option)} was asked for" for option in found if found[option] != [getattr(asked, option)]]
    if set(classes) != {_LAYER[asked.backend]}:
        wrong.insert(0, f"its layers are {', '.join(classes)}")
    if held >= before:
        wrong.append(f"a number takes {held:g} bytes, as many as it takes unpacked")
    return Evidence(facts, wrong[0] if wrong else None)
