"""DDP and FSDP in two real processes train as one process does on the same batches, hold what they say, and prove it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import Device
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.settings import REPOSITORY
from engine.technique import unsupported_stack
from engine.training import Training
from experiments.parallelism.data_parallel import in_autocast
from tests.experiments.training.parallel_child import CPU, MODEL, RANKS, numbers

GPU = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")
TWO_GPUS = Device("cuda:all", "cuda", "2 GPUs", "here", 2**38, (9, 0), "GPU-0,GPU-1", ("cuda:0", "cuda:1"))
BOTH = pytest.mark.parametrize("name", ["ddp", "fsdp"])


@pytest.fixture(scope="module")
def out(tiny_model_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes wrote down."""
    folder = tmp_path_factory.mktemp("parallel")
    command = [sys.executable, "-m", "tests.experiments.training.parallel_child", str(tiny_model_root), str(folder)]
    child = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, timeout=300, check=False
    )
    assert child.returncode == 0, child.stderr[-6000:]
    return folder


@pytest.fixture(scope="module")
def alone(tiny_model_root: Path) -> dict[str, Any]:
    """What one process gets on the same global batches."""
    return numbers(tiny_model_root)


def tensors(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(out / f"{name}.pt", weights_only=True)
    return found


def facts(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"{name}.json").read_text())
    return found


def apart(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    """The largest relative distance of a tensor from the one of the same name."""
    plain = {key.removeprefix("module."): value for key, value in found.items()}
    assert set(plain) == set(wanted)
    return max(float((plain[key] - value).norm() / value.norm()) for key, value in wanted.items())


@BOTH
@pytest.mark.parametrize("how", ["gradients", "checkpointed"])
def test_gradients_are_those_of_one_process(name: str, how: str, out: Path, alone: dict[str, Any]) -> None:
    """Of a step with two micro-batches, so exchanged once, after the second."""
    assert apart(tensors(out, name)[how], alone["gradients"]) < 1e-5


@BOTH
def test_parameters_after_three_steps_are_those_of_one_process(name: str, out: Path, alone: dict[str, Any]) -> None:
    assert apart(tensors(out, name)["parameters"], alone["parameters"]) < 1e-5


@BOTH
def test_losses_are_those_of_one_process(name: str, out: Path, alone: dict[str, Any]) -> None:
    assert tensors(out, name)["losses"] == pytest.approx(alone["losses"], rel=1e-3)
    assert alone["losses"][-1] < 0.95 * alone["losses"][1], "the same batch again: there is something to compare"


def test_each_process_of_fsdp_holds_its_part_and_of_ddp_everything(out: Path, alone: dict[str, Any]) -> None:
    for held in ("weight_bytes", "state_bytes"):
        for share in facts(out, "fsdp")["of_all"]:
            assert share[held] == pytest.approx(alone[held] / RANKS, rel=0.01)
        for share in facts(out, "ddp")["of_all"]:
            assert share[held] == alone[held]
    assert [tensors(out, name)["sharded"] for name in ("ddp", "fsdp")] == [False, True]


@BOTH
def test_following_the_memory_of_a_step_changes_nothing_and_sees_the_parts(name: str, out: Path, alone: dict[str, Any]) -> None:
    """Of a step with two micro-batches, whose gradients wait for each other."""
    watched = tensors(out, name)["watched"]
    assert apart(watched["parameters"], alone["parameters"]) < 1e-5
    weights, held = alone["weight_bytes"], watched["split"]
    if name == "fsdp":
        # its part, and at most all blocks gathered; how long the buffers live that they came in with is up to the transport's thread
        assert weights / RANKS < held["peak_weight_bytes"] <= weights / RANKS + 2 * weights
    else:
        assert held["peak_weight_bytes"] == weights
    assert 0 < held["peak_gradient_bytes"] <= 2 * weights
    assert held["peak_optimizer_bytes"] == 0 < held["peak_activation_bytes"]


def test_the_proof_names_group_wrapper_and_shards(out: Path) -> None:
    for name in ("ddp", "fsdp"):
        shown = facts(out, name)["evidence"]
        assert (shown["processes"], shown["backend"]) == (2, "gloo")
        assert shown["distance_from_mean_gradient"] < 0.01
    assert facts(out, "ddp")["evidence"]["wrapper"] == "DistributedDataParallel"
    shown = facts(out, "fsdp")["evidence"]
    assert shown["sharded_modules"] == 3, "two blocks and what is around them"
    assert shown["placements"] == ["(Shard(dim=0),)"] and shown["whole_parameters"] == 0 and shown["kept_on"] == ["cpu"]


@BOTH
def test_what_was_not_applied_is_found_out(name: str, out: Path) -> None:
    assert facts(out, name)["unapplied"].startswith(f"not applied: {name}: ")
    assert facts(out, name)["unsynchronized"] == f"not applied: {name}: gradients are not the mean of all processes"


@BOTH
def test_beside_every_other_technique_it_trains_or_says_why_not(name: str, out: Path) -> None:
    beside = facts(out, name)["beside"]
    assert [other for other, said in beside.items() if said == "its losses are not finite"] in ([], ["float16"]), "whose losses no one scales"
    trained = {other for other, losses in beside.items() if isinstance(losses, list)}
    assert {"float32", "bfloat16", "amp_bfloat16", "amp_float16", "attention", "gradient_checkpointing", "lora", "adamw"} <= trained


@pytest.mark.parametrize(
    ("stack", "device", "options", "reason"),
    [
        (["ddp"], CPU, {"batch_sizes": [2, 3]}, "ddp: batch_sizes: 3 sequences cannot be dealt out evenly to 2; use multiples of 2"),
        (["ddp"], GPU, {"batch_sizes": [3]}, None),
        (["fsdp"], TWO_GPUS, {"batch_sizes": [3]}, "fsdp: batch_sizes: 3 sequences cannot be dealt out evenly to 2"),
        (["bnb_4bit", "lora", "fsdp"], CPU, {}, "fsdp: it deals out rows of numbers, bnb_4bit packs them in blocks; use ddp"),
        (["bnb_4bit", "lora", "ddp"], CPU, {}, None),
        (["adam8bit", "fsdp"], GPU, {}, "fsdp: adam8bit cannot update parameters of which each process holds a part; use adamw, or ddp"),
        (["adafactor", "fsdp"], CPU, {}, "fsdp: adafactor cannot update parameters"),
        (["adamw", "fsdp"], CPU, {}, None),
        (["torch_compile", "fsdp"], CPU, {}, "fsdp: it gathers weights while the model runs"),
        (["adam8bit", "ddp"], GPU, {}, None),
        (["data_parallel"], GPU, {}, "data_parallel: needs two GPUs in one run, this device has one at most"),
        (["data_parallel"], CPU, {}, "data_parallel: needs two GPUs in one run"),
        (["data_parallel"], TWO_GPUS, {}, None),
        (["data_parallel"], TWO_GPUS, {"batch_sizes": [3]}, "data_parallel: batch_sizes: 3 sequences"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_it_is_queued(
    stack: list[str], device: Device, options: dict[str, Any], reason: str | None
) -> None:
    techniques = [discover().technique(name) for name in stack]
    said = unsupported_stack(techniques, device, MODEL, discover().workload("training_step", options))
    assert (said is None) if reason is None else (said or "").startswith(reason), said


def test_offloading_needs_a_gpu_to_offload_from() -> None:
    technique, workload = discover().technique("fsdp", {"cpu_offload": True}), discover().workload("training_step")
    assert "cpu_offload moves weights off a GPU" in (technique.unsupported_reason(CPU, ModelSpec(source="local", name="tiny"), workload, ()) or "")
    assert technique.unsupported_reason(GPU, MODEL, workload, ()) is None


def test_one_gpu_gets_one_process_and_a_cpu_as_many_as_asked() -> None:
    four = discover().technique("ddp", {"processes": 4})
    assert [four.processes_on(device) for device in (CPU, GPU, TWO_GPUS)] == [4, 1, 2]


def test_the_copies_of_data_parallel_compute_in_the_precision_of_training() -> None:
    """On two GPUs its threads turned autocast to float16, and perplexity went from 17 to 53."""
    model = torch.nn.Linear(2, 2)
    training = Training(model, 0.001)
    copy = in_autocast(model, training)
    training.autocast = lambda: torch.autocast("cpu", torch.bfloat16)
    seen: list[torch.dtype] = []

    def work() -> None:
        for called in (model, copy):
            with torch.autocast("cpu", torch.float16):  # as DataParallel's threads do
                seen.append(called(torch.ones(1, 2)).dtype)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [torch.float16, torch.bfloat16]
    assert list(copy.parameters()) == list(model.parameters())
