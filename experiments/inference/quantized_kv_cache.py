"""The quantized KV cache of transformers, packed by hqq: bits per number, and what a used one really holds.

A used cache holds all but its newest tokens packed; those wait, as they are, until there are enough of them, and then all of it
is packed anew. Each step of attention unpacks the whole cache, so it saves memory and costs time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import CacheSource, Session, Slot, Technique, UnsupportedHereError
from experiments.inference.used_cache import packed_evidence

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload

_GROUPS = (8, 16, 32, 64)


class QuantizedKvCache(Technique):
    """Keys and values of earlier tokens kept in 8, 4 or 2 bits, all but the newest."""

    name: ClassVar[str] = "quantized_kv_cache"
    label: ClassVar[str] = "Quantized KV cache"
    family: ClassVar[str] = "inference"
    slot: ClassVar[Slot] = Slot.KV_CACHE
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://arxiv.org/abs/2402.02750"
    costs: ClassVar[str] = (
        "It is not exact, and unpacked at every token: slower. Its perplexity is measured through it, token after token as in decoding."
    )
    environment: ClassVar[str] = "hqq"
    requires: ClassVar[tuple[str, ...]] = ("hqq",)

    bits: Literal[2, 4, 8] = Field(4, description="Bits per number, without its share of scale and zero point")
    group_size: Literal[8, 16, 32, 64] = Field(32, description="Numbers that share a scale; it divides the size of a head")
    residual_length: int = Field(128, ge=1, le=4096, description="Newest tokens that wait unpacked until there are so many")

    def unsupported_reason(self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]) -> str | None:
        if not workload.generates:
            return f"the workload {workload.name} generates no tokens, so there is nothing to keep; take it out of the stack"
        return None

    def footprint(self, held: Footprint) -> Footprint:
        """A scale and a zero point for each packed group, in the cache's type."""
        return held.evolve(cached=lambda tokens, numbers, itemsize: int(numbers * (
            min(tokens, self.residual_length) * itemsize
            + max(tokens - self.residual_length, 0) * (self.bits / 8 + 2 * itemsize / self.group_size))))  # fmt: skip

    def apply(self, session: Session) -> None:
        from transformers import QuantizedCache

        config = session.model.config.get_text_config(decoder=True)
        self._check_heads(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)

        def new(sequences: int, positions: int) -> Any:
            # axis 1 takes consecutive numbers of one head's vector for a group
            return QuantizedCache(
                "hqq", session.model.config, nbits=self.bits, axis_key=1, axis_value=1, q_group_size=self.group_size,
                residual_length=self.residual_length,
            )  # fmt: skip

        try:
            new(1, 1)
        except ValueError as error:
            raise UnsupportedHereError(f"quantized_kv_cache: {error}") from error
        session.generate_options["use_cache"] = True
        # The last of `residual_length` waiting tokens comes alone: older transformers look at the length before it is added.
        session.cache = CacheSource(new, (self.residual_length - 1, 1) if self.residual_length > 1 else (1,))

    def _check_heads(self, size: int) -> None:
        """hqq packs several groups into a row, which for an odd number of tokens only works out if each head's vector fills whole rows."""
        least = 8 // self.bits
        if size % (self.group_size * least):
            fitting = [g for g in _GROUPS if size % (g * least) == 0]
            advice = f"choose {' or '.join(map(str, fitting))}" if fitting else "choose more bits"
            raise UnsupportedHereError(
                f"quantized_kv_cache: group_size: heads of {size} numbers cannot be packed in groups of {self.group_size} with {self.bits} bits; {advice}"
            )

    def evidence(self, session: Session) -> Evidence:
        return packed_evidence(self, session)
