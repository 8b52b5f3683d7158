"""LoRA by peft: trainable low-rank matrices beside frozen weights; with 4-bit weights under it, QLoRA."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

from pydantic import Field

from engine.footprint import Adapter, Footprint
from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique
from experiments.training.probe import without_gradient


class Lora(Technique):
    """Train two small matrices beside each chosen layer; the model's own weights stay as they are."""

    name: ClassVar[str] = "lora"
    label: ClassVar[str] = "LoRA"
    family: ClassVar[str] = "adapter"
    slot: ClassVar[Slot] = Slot.ADAPTER
    reference: ClassVar[str] = "https://arxiv.org/abs/2106.09685"
    costs: ClassVar[str] = "Activations are kept as in full training, and each adapted layer makes two more products until it is merged."
    requires: ClassVar[tuple[str, ...]] = ("peft",)
    phase: ClassVar[Literal["any", "inference", "training"]] = "training"

    rank: int = Field(16, ge=1, le=1024, description="Columns of the two matrices")
    alpha: float = Field(32, gt=0, le=4096, description="The update is scaled by alpha / rank")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout in front of the adapter")
    target_modules: tuple[str, ...] = Field(("q_proj", "v_proj"), min_length=1, max_length=64, description="Names of the layers that get one")

    def footprint(self, held: Footprint) -> Footprint:
        return held.evolve(adapter=Adapter(self.rank, self.target_modules, self.dropout > 0))

    def apply(self, session: Session) -> None:
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

        assert session.training is not None
        names = {name.rpartition(".")[2] for name, module in session.model.named_modules() if "Linear" in type(module).__name__}
        if unknown := sorted(set(self.target_modules) - names):
            raise ValueError(f"lora.target_modules: the model has no layer {unknown[0]!r}; it has {', '.join(sorted(names))}")
        model = session.model
        if session.plan.quantization is not None:
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        config = LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=list(self.target_modules),
            bias="none", task_type="CAUSAL_LM",
        )  # fmt: skip
        with warnings.catch_warnings():  # peft 0.21 asks the model by the name that transformers has renamed
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            session.model = session.training.forward = session.training.adapter = get_peft_model(model, config)

    def evidence(self, session: Session) -> Evidence:
        """The adapters found in the model, that they get gradients, and nothing else does. Parameters are counted as before packing."""
        found = [m for m in session.model.modules() if "default" in getattr(m, "lora_A", {})]
        trainable = [name for name, p in session.model.named_parameters() if p.requires_grad]
        facts = {"adapters": len(found), "ranks": sorted({m.lora_A["default"].out_features for m in found}),
                 "trainable_parameters": trained_share(session.model),
                 "trainable_tensors": len(trainable), "base": sorted({type(m.base_layer).__name__ for m in found})}  # fmt: skip
        if not found or facts["ranks"] != [self.rank]:
            return Evidence(facts, f"{len(found)} adapters of ranks {facts['ranks']}")
        others = [name for name in trainable if "lora_" not in name]
        if others:
            return Evidence(facts, f"{others[0]} takes gradients too")
        ends = [m.lora_B["default"].weight for m in found]  # those of the other matrix are 0 until this one is not
        lost = without_gradient(session, ends)
        return Evidence(facts, f"{lost} of {len(ends)} adapters get no gradient" if lost else None)


def trained_share(model: Any) -> str:
    """'8,388,608 / 6,746,804,224 (0.12%)': trainable of all parameters."""
    from engine.memory import logical_elements

    trained = logical_elements(p for p in model.parameters() if p.requires_grad)
    total = logical_elements(model.parameters())
    return f"{trained:,} / {total:,} ({trained / total:.2%})"
