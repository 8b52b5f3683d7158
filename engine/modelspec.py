"""Which model: a bundled checkpoint, a local directory, a hub id at a pinned revision, a shape, or none.

Names and rules only; no torch. Loading is `engine/loading.py`, in the child.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

Source = Literal["bundled", "local", "hub", "shape", "none"]

NO_MODEL = "none"
"""For workloads that measure a kernel and load nothing."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{40}")


class Head(StrEnum):
    """What a workload needs loaded: the part of the model above its layers, or no model at all."""

    CAUSAL_LM = "causal_lm"
    CLASSIFIER = "classifier"
    ENCODER = "encoder"
    NOTHING = "nothing"


class ModelSpec(BaseModel):
    """A model by source and name. Hub models carry the commit (40 hex digits) that they are read at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source
    name: str
    revision: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return parse_model(data) if isinstance(data, str) else data

    @model_validator(mode="after")
    def _checked(self) -> ModelSpec:
        if self.source == "hub":
            if not _HUB_ID.fullmatch(self.name) or ".." in self.name or "--" in self.name:
                raise ValueError(f"{self.name!r} is not a hub id; write hub:organisation/name@revision")
            if self.revision is None or not _REVISION.fullmatch(self.revision):
                raise ValueError(f"hub:{self.name} needs the 40-digit commit it is read at: hub:{self.name}@<commit>")
        elif self.source == "none" and self.name != NO_MODEL:
            raise ValueError(f"a model of source none is called {NO_MODEL!r}, not {self.name!r}")
        else:
            if not _PLAIN_NAME.fullmatch(self.name) or ".." in self.name:
                raise ValueError(f"{self.name!r} is not a model name; names have letters, digits, '.', '_' and '-'")
            if self.revision is not None:
                raise ValueError(f"only hub models have a revision; drop '@{self.revision}'")
        return self

    def __str__(self) -> str:
        if self.source == "hub":
            return f"hub:{self.name}@{self.revision}"
        return f"local:{self.name}" if self.source == "local" else self.name


def parse_model(text: str) -> dict[str, Any]:
    """'smollm2-135m', 'llama-7b', 'none', 'local:my-model' or 'hub:org/name@commit' -> fields of ModelSpec."""
    from engine.catalogue import BUNDLED, SHAPES, closest

    if text.startswith("local:"):
        return {"source": "local", "name": text.removeprefix("local:")}
    if text.startswith("hub:"):
        name, _, revision = text.removeprefix("hub:").partition("@")
        return {"source": "hub", "name": name, "revision": revision or None}
    if text == NO_MODEL:
        return {"source": "none", "name": NO_MODEL}
    if text in BUNDLED:
        return {"source": "bundled", "name": text}
    if text in SHAPES:
        return {"source": "shape", "name": text}
    known = [*BUNDLED, *SHAPES, NO_MODEL]
    raise ValueError(
        f"unknown model {text!r}{closest(text, known)}; known: {', '.join(known)}, local:<directory>, hub:<id>@<commit>"
    )
