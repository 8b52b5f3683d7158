"""Evidence shared by the weight quantizers: how many linear layers were replaced and what their weights are made of."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.measurement import Evidence
from engine.technique import Session


def layer_evidence(session: Session, layer_class: str, dtype: Any, extra: dict[str, Any]) -> Evidence:
    """All linear layers but the output head must be `layer_class` with weights of `dtype` (a torch dtype)."""
    import torch

    linear = {n: m for n, m in session.model.named_modules() if isinstance(m, torch.nn.Linear) or type(m).__name__ == layer_class}
    replaced = {n: m for n, m in linear.items() if type(m).__name__ == layer_class}
    left = [n for n in linear if n not in replaced and not n.endswith(("lm_head", "classifier", "score"))]
    dtypes = Counter(str(m.weight.dtype) for m in replaced.values())
    facts = {"layer": layer_class, "replaced": len(replaced), "not_replaced": len(linear) - len(replaced),
             "weight_dtypes": dict(dtypes), **extra}
    if not replaced:
        return Evidence(facts, f"no layer became {layer_class}")
    if left:
        return Evidence(facts, f"{len(left)} layers were left as they were, {left[0]} first")
    return Evidence(facts, None if set(dtypes) == {str(dtype)} else f"weights are {', '.join(dtypes)}, not {dtype}")
