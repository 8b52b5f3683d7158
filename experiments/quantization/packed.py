"""What the weight quantizers share: which layers they take, and the evidence of what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from engine.measurement import Evidence
from engine.technique import Session, Technique


def body(module: Any, name: str) -> bool:
    """Linear layers but the output head, which all quantizers leave alone: a language model's is tied to the embedding,
    a classifier's has too few columns to be packed."""
    import torch

    from engine.loading import CLASSIFIER_HEADS

    return isinstance(module, torch.nn.Linear) and not name.endswith(("lm_head", *CLASSIFIER_HEADS))


def layer_evidence(
    technique: Technique, session: Session, layer_class: str, dtype: Any, options: dict[str, Callable[[Any], Any]],
    weight: str = "weight",
) -> Evidence:  # fmt: skip
    """All linear layers but the output head must be `layer_class`, with weights of `dtype` (a torch dtype) and the options asked for.

    options: by the option's name, what reads it back from one loaded layer. weight: what such a layer calls its packed weights.
    """
    import torch

    linear = {n: m for n, m in session.model.named_modules()
              if (isinstance(m, torch.nn.Linear) or type(m).__name__ == layer_class) and not _of_an_adapter(n, m)}  # fmt: skip
    replaced = {n: m for n, m in linear.items() if type(m).__name__ == layer_class}
    left = [n for n, m in linear.items() if n not in replaced and body(m, n)]
    dtypes = Counter(str(getattr(m, weight).dtype) for m in replaced.values())
    facts = {"layer": layer_class, "replaced": len(replaced), "not_replaced": len(linear) - len(replaced),
             "weight_dtypes": dict(dtypes)}
    found = {option: Counter(read(m) for m in replaced.values()) for option, read in options.items()}
    facts |= {option: {str(value): n for value, n in counts.items()} for option, counts in found.items()}
    if not replaced:
        return Evidence(facts, f"no layer became {layer_class}")
    if left:
        return Evidence(facts, f"{len(left)} layers were left as they were, {left[0]} first")
    if set(dtypes) != {str(dtype)}:
        return Evidence(facts, f"weights are {', '.join(dtypes)}, not {dtype}")
    for option, counts in found.items():
        wanted = getattr(technique, option)
        if other := [value for value in counts if value != wanted]:
            return Evidence(facts, f"{option} is {other[0]} in {counts[other[0]]} layers, {wanted} was asked for")
    return Evidence(facts)


def _of_an_adapter(name: str, module: Any) -> bool:
    """peft wraps a layer in one that carries the same class name, with plain linear layers for the adapter inside."""
    return hasattr(module, "base_layer") or ".lora_" in name
