"""torch.compile around the model's forward. Owns nothing of the generation loop, which stays Python."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from engine.devices import Device
from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique

if TYPE_CHECKING:
    from engine.modelspec import ModelSpec
    from engine.workload import Workload


class TorchCompile(Technique):
    """The model's forward pass compiled into fused kernels (TorchDynamo and Inductor)."""

    name: ClassVar[str] = "torch_compile"
    label: ClassVar[str] = "torch.compile"
    family: ClassVar[str] = "runtime"
    slot: ClassVar[Slot] = Slot.RUNTIME
    reference: ClassVar[str] = "https://docs.pytorch.org/docs/stable/generated/torch.compile.html"
    costs: ClassVar[str] = (
        "Compilation takes seconds to minutes before the first answer, and again for a shape that does not fit what was compiled. "
        "The first call of a run includes all of it: nothing compiled is kept from one run to the next."
    )

    mode: Literal["default", "reduce-overhead", "max-autotune"] = Field(
        "default", description="reduce-overhead uses CUDA graphs; max-autotune also tries several kernels, which takes minutes"
    )
    dynamic: bool | None = Field(
        None, description="One kernel for all lengths (true), one for each (false), or general after the first change (empty)"
    )

    def unsupported_reason(
        self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]
    ) -> str | None:
        if device.kind == "cpu" and shutil.which(os.environ.get("CXX", "g++")) is None:
            return "it needs a C++ compiler, and none was found ($CXX or g++): apt-get install g++"
        return None

    def footprint(self, held: Footprint) -> Footprint:
        """As without it, which is more than it takes: fused operators make fewer tensors, and CUDA graphs keep theirs uncounted."""
        return held

    def apply(self, session: Session) -> None:
        import torch
        import torch._inductor.config

        torch._inductor.config.force_disable_caches = True  # else only the first round of an experiment would compile
        if session.training is not None:
            session.training.eager = False
        session.model.forward = torch.compile(session.model.forward, mode=self.mode, dynamic=self.dynamic)
        session.compile_seconds = _clock()

    def evidence(self, session: Session) -> Evidence:
        """TorchDynamo's own counters over one small forward pass, with the seconds of its stages (nested in each other)."""
        import torch
        from torch._dynamo.utils import calculate_time_spent, counters

        before = counters["stats"]["unique_graphs"]
        breaks = sum(counters["graph_break"].values())
        with torch.inference_mode():
            session.model(torch.tensor([[2, 3, 4, 5]], device=session.torch_device), use_cache=False)
        graphs = counters["stats"]["unique_graphs"] - before
        spent = {name: round(seconds, 3) for name, seconds in calculate_time_spent().items()}
        facts = {"mode": self.mode, "graphs_compiled": graphs, "graph_breaks": sum(counters["graph_break"].values()) - breaks,
                 "seconds_by_stage": spent}  # fmt: skip
        torch._dynamo.reset()  # what the proof compiled is dropped, so that the first call shows the whole cost
        session.compile_seconds = _clock()
        return Evidence(facts, None if graphs else "nothing was compiled")


def _clock() -> Callable[[], float]:
    """Counts the seconds that TorchDynamo and its backend compile from now on, recompilations included, by Dynamo's own clock."""
    from torch._dynamo.utils import calculate_time_spent

    before = calculate_time_spent()["total_wall_time"]
    return lambda: calculate_time_spent()["total_wall_time"] - before
