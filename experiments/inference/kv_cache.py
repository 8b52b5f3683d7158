"""The KV cache: keep keys and values of earlier tokens, so that each new token costs one column of attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from engine.footprint import Footprint
from engine.measurement import Evidence
from engine.technique import CacheSource, Session, Slot, Technique
from experiments.inference.static_cache import StaticCaches
from experiments.inference.used_cache import used_cache

if TYPE_CHECKING:
    from engine.devices import Device
    from engine.modelspec import ModelSpec
    from engine.workload import Workload

_CACHE_CLASS = {"off": None, "dynamic": "DynamicCache", "static": "StaticCache"}


class KvCache(Technique):
    """Reuse the keys and values of earlier tokens: off, growing (dynamic) or preallocated (static)."""

    name: ClassVar[str] = "kv_cache"
    label: ClassVar[str] = "KV cache"
    family: ClassVar[str] = "inference"
    slot: ClassVar[Slot] = Slot.KV_CACHE
    phase: ClassVar[Literal["any", "inference", "training"]] = "inference"
    reference: ClassVar[str] = "https://huggingface.co/docs/transformers/kv_cache"
    costs: ClassVar[str] = "Memory grows with layers x tokens x batch; a static cache pays for its full length from the start."

    mode: Literal["off", "dynamic", "static"] = Field(
        "dynamic", description="off recomputes everything for each token; dynamic grows; static is allocated once"
    )

    def unsupported_reason(self, device: Device, model: ModelSpec, workload: Workload, stack: Sequence[Technique]) -> str | None:
        if not workload.generates:
            return f"the workload {workload.name} generates no tokens, so there is nothing to keep; take it out of the stack"
        return None

    def footprint(self, held: Footprint) -> Footprint:
        return held.evolve(cached=None) if self.mode == "off" else held.evolve(grows=self.mode == "dynamic")

    def apply(self, session: Session) -> None:
        session.generate_options["use_cache"] = self.mode != "off"
        if self.mode == "static":
            session.cache = CacheSource(StaticCaches(session).new)
            # It would make generate() compile on a GPU: that is another technique, so it is kept apart.
            session.generate_options["disable_compile"] = True

    def evidence(self, session: Session) -> Evidence:
        """The cache object that a real generation of two tokens returns."""
        cache = used_cache(session)
        found, wanted = None if cache is None else type(cache).__name__, _CACHE_CLASS[self.mode]
        return Evidence({"cache": found}, None if found == wanted else f"the cache is {found}, not {wanted}")
