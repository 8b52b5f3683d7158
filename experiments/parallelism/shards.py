"""A model dealt out to processes by FSDP2: how that is done, how gradients are kept apart, and what each process then holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any


def deal_out(model: Any, parts: Sequence[Any], device: str, count: int, offload: bool) -> None:
    """Shard each part, and what is left of the model around them, over all processes. device: "cpu" or "cuda"."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

    mesh = init_device_mesh(device, (count,))
    policy = CPUOffloadPolicy() if offload else OffloadPolicy()
    for module in (*parts, model):
        # the whole model resharded too: else its parameters are whole ones between a forward pass and the next backward pass
        fully_shard(module, mesh=mesh, reshard_after_forward=True, offload_policy=policy)
        # gloo adds up where a mean is asked for, without a word (pytorch issue 162338)
        module.set_force_sum_reduction_for_comms(device == "cpu")
    for module in (*parts, model):
        # gathered once now: if that first happened under inference_mode, they could not be trained any more
        module.unshard()
        module.reshard()


@contextlib.contextmanager
def kept_apart(model: Any) -> Iterator[None]:
    """For backward passes whose gradients are to be exchanged with those of a later one."""
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)


def held(model: Any, parts: int, where: str) -> tuple[dict[str, Any], str | None]:
    """Facts of what this process holds, and what contradicts that so many parts and the rest are dealt out. where: device type."""
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    parameters = list(model.parameters())
    sharded = [p for p in parameters if isinstance(p, DTensor)]
    modules, whole = sum(isinstance(m, FSDPModule) for m in model.modules()), len(parameters) - len(sharded)
    places = sorted({p.device.type for p in parameters})
    facts = {"sharded_modules": modules, "sharded_parameters": len(sharded), "whole_parameters": whole,
             "placements": sorted({str(p.placements) for p in sharded}), "kept_on": places}  # fmt: skip
    if modules != parts + 1 or whole:
        return facts, f"{modules} modules are sharded, and {whole} parameters are whole"
    return facts, None if places == [where] else f"the weights are on {', '.join(places)}"
