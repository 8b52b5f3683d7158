"""What stands in place of an experiment's spec where another tool measured: enough to list and to show it, and nothing that can be run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.record import WORKLOAD_OF_IMPORTED


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Model(_Part):
    source: Literal["imported"]
    name: str = Field(min_length=1, max_length=300)


class _Variant(_Part):
    name: str = Field(min_length=1, max_length=120)
    stack: list[dict[str, Any]] = Field(max_length=0)


class _Workload(_Part):
    name: Literal["imported"]
    options: dict[str, Any] = Field(max_length=0)


class _Source(_Part):
    tool: str = Field(min_length=1, max_length=100)
    version: str | None = Field(max_length=300)
    file: str = Field(max_length=300)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ImportedSpec(_Part):
    """The same names as in an ExperimentSpec where what reads records asks for them."""

    title: str = Field(min_length=1, max_length=200)
    model: _Model
    device: str = Field(max_length=200)
    rounds: Literal[1]
    baseline: str
    workload: _Workload
    variants: list[_Variant] = Field(min_length=1, max_length=1)
    imported: _Source
    seed: Literal[0] = 0
    threads: None = None
    timeout_seconds: Literal[0] = 0
    profile: Literal[False] = False
    control: Literal[False] = False
    stop_early: Literal[False] = False


def imported_spec(title: str, model: str, device: str, variant: str, source: dict[str, Any]) -> ImportedSpec:
    """Raises ValueError (pydantic's) where a text is too long."""
    return ImportedSpec.model_validate({
        "title": title, "model": {"source": "imported", "name": model}, "device": device, "rounds": 1, "baseline": variant,
        "workload": {"name": WORKLOAD_OF_IMPORTED, "options": {}}, "variants": [{"name": variant, "stack": []}], "imported": source,
    })  # fmt: skip
