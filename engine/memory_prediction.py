"""What a training step must hold by arithmetic, from shapes, number types and the optimizer's formula; stands beside the measured split.

Counts a model that is built. engine/planning/planner.py predicts a peak with its activations from a config alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine.footprint import four_bit_bytes

if TYPE_CHECKING:
    from engine.training import Training


def predict(model: Any, training: Training) -> dict[str, int]:
    """Metric name -> bytes, of this rank: all weights, all gradients and all optimizer state at once.

    A key is missing where the weights are packed in a way whose arithmetic is not known here.
    """
    trained = [_own(p) for p in training.trainable()]
    kept = {
        "peak_gradient_bytes": sum(_plain_bytes(p) for p in trained),
        "peak_optimizer_bytes": sum(training.predicted_state_bytes(tuple(p.shape), p.element_size()) for p in trained),
    }
    weights = [_weight_bytes(_own(tensor)) for tensor in (*model.parameters(), *model.buffers())]
    known = [count for count in weights if count is not None]
    return kept if len(known) < len(weights) else {"peak_weight_bytes": sum(known), **kept}


def _own(parameter: Any) -> Any:
    """The part that this rank holds, where ranks share a parameter."""
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter


def _plain_bytes(tensor: Any) -> int:
    return int(math.prod(tensor.shape) * tensor.element_size())


def _weight_bytes(tensor: Any) -> int | None:
    state = getattr(tensor, "quant_state", None)
    if state is not None:
        return _four_bit_bytes(state)
    if type(tensor).__name__ == "Int8Params":
        return _plain_bytes(tensor) + 4 * int(tensor.shape[0])  # a float32 scale for each row
    return None if hasattr(type(tensor), "__tensor_flatten__") else _plain_bytes(tensor)


def _four_bit_bytes(state: Any) -> int:
    nested = int(state.state2.blocksize) if state.nested else None
    return four_bit_bytes(int(math.prod(state.shape)), int(state.blocksize), nested)
