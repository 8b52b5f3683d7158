"""Holds for everything that is discovered: a contributor adds a file and writes no test plumbing."""

from __future__ import annotations

import importlib
import inspect
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from engine.devices import Device
from engine.metrics import METRICS
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.settings import REPOSITORY
from engine.technique import Slot, Technique, unsupported_stack
from engine.workload import Workload

TECHNIQUES = list(discover().techniques.values())
WORKLOADS = list(discover().workloads.values())
CPU = Device("cpu", "cpu", "a CPU", "here", 2**34)
GPU = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")


@pytest.mark.parametrize("cls", [*TECHNIQUES, *WORKLOADS], ids=lambda c: c.name)
def test_card_is_complete(cls: type[Technique] | type[Workload]) -> None:
    assert Path(inspect.getfile(cls)).stem == cls.name, "file and class carry one name"
    assert (cls.__doc__ or "").strip(), "the docstring is the text on the card"
    assert importlib.import_module(cls.__module__).__doc__
    assert cls.label
    for name, field in cls.model_fields.items():
        assert field.description, f"{name} has no description"
    instance = cls()
    assert cls.model_validate_json(instance.model_dump_json()) == instance
    assert hash(instance) == hash(cls())


@pytest.mark.parametrize("cls", TECHNIQUES, ids=lambda c: c.name)
def test_technique_card(cls: type[Technique]) -> None:
    assert cls.slot in Slot
    assert cls.reference.startswith("https://")
    assert cls.costs and cls.family and cls.environment
    assert len(Path(inspect.getfile(cls)).read_text().splitlines()) <= 90, "one idea, one short file"
    with pytest.raises(ValueError, match="extra"):
        cls(no_such_option=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("cls", WORKLOADS, ids=lambda c: c.name)
def test_workload_metrics_are_known(cls: type[Workload]) -> None:
    assert set(cls.metrics) | set(cls.quality_metrics) <= set(METRICS)


@pytest.mark.parametrize("device", [CPU, GPU], ids=lambda d: d.kind)
@pytest.mark.parametrize("model", [ModelSpec(source="bundled", name="smollm2-135m"), ModelSpec(source="shape", name="gpt2")], ids=str)
@pytest.mark.parametrize("workload", [discover().workload("generation"), discover().workload("training_step")], ids=lambda w: w.name)
def test_every_pair_is_supported_or_says_why_not(workload: Workload, device: Device, model: ModelSpec) -> None:
    for a, b in itertools.product(TECHNIQUES, repeat=2):
        stack = [a()] if a is b else [a(), b()]
        reason = unsupported_stack(stack, device, model, workload)
        assert reason is None or (reason.startswith((f"{a.name}: ", f"{b.name}: ")) and len(reason) > len(a.name) + 12), (a, b, reason)


def test_catalogue_is_free_of_torch() -> None:
    code = (
        "import sys; from engine import api; api.techniques(); api.workloads(); api.models(); api.presets();"
        "assert not {'torch', 'transformers', 'bitsandbytes', 'torchao'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
