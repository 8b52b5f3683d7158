"""The KV cache: keep keys and values of earlier tokens, so that each new token costs one column of attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.measurement import Evidence
from engine.technique import Session, Slot, Technique
from experiments.inference import quantized_cache

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload

_CACHE_CLASS = {"off": None, "dynamic": "DynamicCache", "static": "StaticCache", "quantized": "QuantizedCache"}


class KvCache(Technique):
    """Reuse the keys and values of earlier tokens: off, growing (dynamic), preallocated (static) or packed into few bits (quantized)."""

    name: ClassVar[str] = "kv_cache"
    label: ClassVar[str] = "KV cache"
    family: ClassVar[str] = "inference"
    slot: ClassVar[Slot] = Slot.KV_CACHE
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://huggingface.co/docs/transformers/kv_cache"
    costs: ClassVar[str] = (
        "Memory grows with layers x tokens x batch; a static cache pays for its full length from the start. A quantized one is not exact "
        "and is unpacked at every token: slower, and its perplexity is measured through it, token after token as in decoding."
    )

    mode: Literal["off", "dynamic", "static", "quantized"] = Field(
        "dynamic", description="off recomputes everything for each token; dynamic grows; static is allocated once; quantized is packed"
    )
    backend: Literal["hqq", "quanto"] = Field("hqq", description="For quantized: the package that packs")
    nbits: Literal[2, 4, 8] = Field(4, description="For quantized: bits per number; quanto has 2 and 4")
    group_size: Literal[8, 16, 32, 64] = Field(32, description="For quantized: numbers that share a scale; it divides the size of a head")
    residual_length: int = Field(128, ge=1, le=4096, description="For quantized: newest tokens that wait unpacked until there are so many")

    @model_validator(mode="after")
    def _of_quantized(self) -> Self:
        if self.mode != "quantized" and (other := [f for f in sorted(self.model_fields_set - {"mode"}) if self._changed(f)]):
            raise ValueError(f"{other[0]}: only the mode quantized has it; leave it out with {self.mode}")
        if self.nbits not in (bits := quantized_cache.BITS[self.backend]):
            raise ValueError(f"nbits: {self.backend} has {' and '.join(map(str, bits))}; choose one of them, or the backend hqq")
        return self

    def _changed(self, field: str) -> bool:
        return bool(getattr(self, field) != type(self).model_fields[field].default)

    def unsupported_reason(self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]) -> str | None:
        if not workload.generates:
            return f"the workload {workload.name} generates no tokens, so there is nothing to keep; take it out of the stack"
        return quantized_cache.missing_package(self.backend) if self.mode == "quantized" else None

    def apply(self, session: Session) -> None:
        session.generate_options["use_cache"] = self.mode != "off"
        if self.mode == "static":
            # It would make generate() compile on a GPU: that is another technique, so it is kept apart.
            session.generate_options |= {"cache_implementation": "static", "disable_compile": True}
        elif self.mode == "quantized":
            session.cache = quantized_cache.lossy_cache(session.model, self)

    def evidence(self, session: Session) -> Evidence:
        """The cache object that a real generation of two tokens returns, and of a quantized one what its layers hold."""
        import torch

        ids = torch.tensor([[1, 2, 3]], device=session.torch_device)
        out = session.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, min_new_tokens=2, do_sample=False,
            return_dict_in_generate=True, **session.call_options(),
        )  # fmt: skip
        cache = out.past_key_values
        found, wanted = None if cache is None else type(cache).__name__, _CACHE_CLASS[self.mode]
        if found != wanted:
            return Evidence({"cache": found}, f"the cache is {found}, not {wanted}")
        return quantized_cache.evidence(cache, self) if self.mode == "quantized" else Evidence({"cache": found})
