"""What the torchao techniques share: evidence from the tensor classes that torchao put in the place of weights."""

from __future__ import annotations

from typing import Any

from engine.measurement import Evidence
from engine.technique import Session
from experiments.quantization.packed import body


def tensor_evidence(session: Session, tensor_class: str, dtype: Any, *, activations: bool = False, packed: int | None = 1) -> Evidence:
    """All linear layers but the output head must hold a `tensor_class` with data of `dtype`.

    activations: their inputs must be quantized on the fly too. packed: weights in one element of the data, None where the kernel pads them.
    """
    import torch

    linear = {n: m.weight for n, m in session.model.named_modules() if isinstance(m, torch.nn.Linear)}
    replaced = {n: w for n, w in linear.items() if type(w).__name__ == tensor_class}
    left = [n for n, m in session.model.named_modules() if n in linear and n not in replaced and body(m, n)]
    dtypes = sorted({str(w.qdata.dtype) for w in replaced.values()})
    facts = {"tensor": tensor_class, "replaced": len(replaced), "not_replaced": len(linear) - len(replaced), "weight_dtypes": dtypes}
    if not replaced:
        return Evidence(facts, f"no weight became {tensor_class}")
    if left:
        return Evidence(facts, f"{len(left)} layers were left as they were, {left[0]} first")
    if packed and any(w.qdata.numel() * packed != w.numel() for w in replaced.values()):
        return Evidence(facts, f"the data is not packed {packed} to an element")
    if activations and any(getattr(w, "act_quant_kwargs", None) is None for w in replaced.values()):
        return Evidence(facts, "activations are not quantized")
    return Evidence(facts, None if dtypes == [str(dtype)] else f"weights are {', '.join(dtypes)}, not {dtype}")
