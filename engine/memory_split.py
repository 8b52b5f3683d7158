"""What holds the memory at the peak of a training step: weights, gradients, optimizer state, activations, the rest.

torch's MemTracker follows every tensor that is made in the step, by what it is for; it works on CPUs and GPUs alike. It
slows the step down, so it has a pass of its own. It sees tensors, not what a kernel takes for itself while it runs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, cast

import torch
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.hooks import RemovableHandle

from engine.memory import storage_bytes

_HELD_BY = {
    "peak_weight_bytes": ("Parameter", "Buffer", "Sharded Param", "Unsharded Param", "All Gather"),
    "peak_gradient_bytes": ("Gradient", "Sharded Grad", "Unsharded Grad", "Reduce Scatter"),
    "peak_optimizer_bytes": ("Optstate", "OptState"),
    "peak_activation_bytes": ("Activation",),
    "peak_other_bytes": ("Temp", "Other", "Inputs"),
}
"""What torch's trackers call things: the plain one, and FSDP's, which tells a rank's part from what it has gathered."""
SPLIT_METRICS = tuple(_HELD_BY)


def split_peak(model: Any, optimizer: Any, device: str, step: Callable[[Any], Any]) -> dict[str, int]:
    """Metric name -> bytes of live tensors at the moment of the step's peak on the device ("cpu" or "cuda").

    step: one optimizer step that gives what it is called with its marks (engine/training.py).
    """
    tracker, unseen = _tracker(model, optimizer, device)
    with tracker:
        step(_OfEachBatch(tracker))
    found = _by_metric(tracker, "peak", device)
    return found | {"peak_weight_bytes": found["peak_weight_bytes"] + unseen}


def _tracker(model: Any, optimizer: Any, device: str) -> tuple[Any, int]:
    """What follows the tensors, and the bytes of weights that it does not see."""
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        return FSDPMemTracker(cast(torch.nn.Module, model), optimizer), 0
    tracker = _Tracker()
    tracker.track_external(model, optimizer)
    # bitsandbytes keeps the scales of its weights beside the parameters, where the tracker does not look
    return tracker, max(storage_bytes(model) - _by_metric(tracker, "current", device)["peak_weight_bytes"], 0)


class _Tracker(MemTracker):
    """torch's, for models with frozen weights too: it would put hooks on gradients that they never have, which raises."""

    def _track_module_params_and_buffers(self, module: Any, install_grad_hooks: bool = True) -> tuple[int, int]:
        for frozen in (p for p in module.parameters() if not p.requires_grad):
            self._param_to_grad_hook_handles.setdefault(frozen, (RemovableHandle(OrderedDict()), RemovableHandle(OrderedDict())))
        return super()._track_module_params_and_buffers(module, install_grad_hooks)


class _OfEachBatch:
    """Marks for one optimizer step. The tracker follows one forward pass of a module, and is told where the next begins."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker

    def mark(self, name: str) -> None:
        if name == "backward":
            self._tracker.reset_mod_stats()


def _by_metric(tracker: Any, moment: str, device: str) -> dict[str, int]:
    held: dict[Any, int] = next((kinds for where, kinds in tracker.get_tracker_snapshot(moment).items() if torch.device(where).type == device), {})
    by_name = {str(getattr(kind, "value", kind)): count for kind, count in held.items()}
    return {metric: sum(by_name.get(kind, 0) for kind in kinds) for metric, kinds in _HELD_BY.items()}
