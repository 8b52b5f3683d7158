"""Submitting: what is refused before it is queued, and that one request counts once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from db import queries
from engine import api
from engine.devices import Device
from engine.modelspec import ModelSpec
from engine.presets import parse_spec
from engine.registry import discover

GPU = Device("cuda:0", "cuda", "a small GPU", "there", 8 * 2**30, (8, 0), "GPU-1")


def spec(**changes: Any) -> Any:
    return parse_spec({"title": "t", "model": "tiny-llama", "rounds": 3, "variants": ["bfloat16"]} | changes)


def test_the_same_request_key_is_the_same_experiment(db: Engine) -> None:
    first = api.submit(db, spec(), request_key="form-1")
    assert api.submit(db, spec(title="again"), request_key="form-1") == first
    assert api.submit(db, spec(), request_key="form-2") != first
    record = queries.record(db, first)
    assert record is not None
    assert (record["experiment"]["title"], len(record["runs"])) == ("t", 6)
    assert {r["status"] for r in record["runs"]} == {"queued"}


@pytest.mark.parametrize(("changes", "message"), [
    ({"model": "smollm2-135m"}, "model: smollm2-135m has not been fetched: python -m engine.bundled"),
    ({"model": "local:mine"}, "model: there is no model directory 'mine'"),
    ({"device": "there/cuda:7"}, "device: nothing offers 'there/cuda:7'; choose one of cpu, cuda, there/cuda:0"),
    ({"workload": {"options": {"prompt_tokens": 4000, "new_tokens": 200}}}, "workload: it needs 4200 tokens of context, tiny-llama has 4096"),
    ({"workload": "multiple_choice"}, "dataset: piqa has not been fetched; run: python -m engine.bundled piqa"),
    ({"model": "llama-13b", "device": "cuda"}, "baseline: baseline cannot run on cuda:0: it needs 24.4 GiB at its smallest point, 24.2 GiB of it weights; "
     "a small GPU has 8 GiB for it"),
    ({"device": "cuda", "baseline": "torch_dynamic_int8", "variants": ["torch_dynamic_int8"]}, "baseline: torch_dynamic_int8 cannot run on cuda:0"),
])  # fmt: skip
def test_what_cannot_work_is_refused_and_nothing_is_queued(db: Engine, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        api.submit(db, spec(**changes), devices=[GPU])
    assert queries.count_experiments(db) == 0


def test_a_variant_that_cannot_run_is_queued_because_unsupported_is_a_result(db: Engine) -> None:
    assert api.submit(db, spec(device="cuda", variants=["torch_dynamic_int8"]), devices=[GPU])


def test_a_gpu_that_no_scheduler_offers_yet_may_be_waited_for(db: Engine) -> None:
    assert api.submit(db, spec(device="cuda"), devices=[])


def test_every_technique_has_a_reason_or_is_available_on_every_device() -> None:
    cpu = Device("cpu", "cpu", "CPU", "here", 2**34)
    answers = api.availability([cpu, GPU])
    assert set(answers) == {"cpu", "cuda:0"}
    assert answers["cpu"]["torch_dynamic_int8"] is None
    assert "CPUs only" in str(answers["cuda:0"]["torch_dynamic_int8"])
    assert [answers["cpu"][name] for name in ("lora", "adamw", "ddp", "kv_cache")] == [None] * 4, "each is asked about what it is for"
    rows = {r["name"]: r for r in api.techniques(answers["cuda:0"])}
    assert not rows["torch_dynamic_int8"]["available"] and rows["torch_dynamic_int8"]["reason"]


def test_presets_are_valid_and_the_quickstart_is_first() -> None:
    presets = api.presets()
    assert presets[0]["name"] == "quickstart"
    assert all(parse_spec(p["spec"]) for p in presets)


def test_what_can_be_chosen_depends_on_model_and_workload() -> None:
    def asked(workload: str, *chosen: str, **published: str) -> dict[str, str | None]:
        found = discover()
        techniques = [found.technique(name) for name in chosen]
        return api.choosable(GPU, ModelSpec(source="shape", name="gpt2"), found.workload(workload), techniques, dict(published))

    generating, training = asked("generation"), asked("training_step")
    assert generating["kv_cache"] is None and "is for training" in str(generating["lora"])
    assert "generates no tokens" in str(training["kv_cache"]) or "is for inference" in str(training["kv_cache"])
    assert "add an adapter" in str(training["bnb_4bit"]) and asked("training_step", "lora")["bnb_4bit"] is None
    assert asked("generation", kv_cache="not installed there")["kv_cache"] == "not installed there", "the machine's word counts"
