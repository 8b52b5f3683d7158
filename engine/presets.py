"""Experiments as YAML: the named presets that come with the product, and files that users write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from engine import yaml_text
from engine.catalogue import closest
from engine.registry import readable
from engine.settings import REPOSITORY
from engine.specs import ExperimentSpec

_FOLDER = REPOSITORY / "experiments" / "presets"


def preset_names() -> list[str]:
    """The one that a newcomer should see comes first."""
    return sorted((p.stem for p in _FOLDER.glob("*.yaml")), key=lambda n: (n != "quickstart", n))


def load_spec(name_or_file: str, overrides: dict[str, Any] | None = None) -> ExperimentSpec:
    """A preset by name or a YAML file by path, with some fields replaced. Raises ValueError naming the field and the fix."""
    is_file = name_or_file.endswith((".yaml", ".yml")) or "/" in name_or_file
    path = Path(name_or_file) if is_file else _FOLDER / f"{name_or_file}.yaml"
    if not path.is_file():
        known = preset_names()
        raise ValueError(
            f"no file {name_or_file!r}" if is_file else
            f"unknown preset {name_or_file!r}{closest(name_or_file, known)}; known: {', '.join(known)}, or a file ending in .yaml"
        )
    with path.open("rb") as f:
        data = yaml_text.read(f.read(yaml_text.MAX_BYTES + 1), path.name)
    if not isinstance(data, dict):
        raise ValueError(f"{path.name}: an experiment is a mapping with title, model and variants")
    return parse_spec(data | (overrides or {}))


def parse_spec(data: dict[str, Any]) -> ExperimentSpec:
    """A checked spec from plain data. Raises ValueError with one line per field."""
    try:
        return ExperimentSpec.model_validate(data)
    except ValidationError as error:
        raise ValueError(readable(error)) from None


def to_yaml(spec: ExperimentSpec) -> str:
    """The file that runs this experiment again; `load_spec` reads it back equal."""
    data = spec.model_dump(mode="json", exclude_defaults=True)
    data["model"] = str(spec.model)
    data["variants"] = [{"name": v.name, "stack": [_plain(t) for t in data_v["stack"]] if v.stack else []}
                        for v, data_v in zip(spec.variants, (v.model_dump(mode="json") for v in spec.variants), strict=True)]
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    return text


def _plain(technique: dict[str, Any]) -> Any:
    return technique if technique["options"] else technique["technique"]
