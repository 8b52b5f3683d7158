"""Techniques of other families in training: attention kernels, compiled models, and float32 with or without TF32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine.loading import NotAppliedError, collect_evidence
from engine.measurement import Status
from engine.meter import Meter
from engine.registry import discover
from engine.technique import unsupported_stack
from tests.experiments.training.test_techniques import CPU, GPU, MODEL, WORKLOAD, build, load, train
from tests.tiny_model import make


@pytest.fixture(autouse=True)
def own_switches() -> Iterator[None]:
    """What float32 sets is of the whole process."""
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("options", [{"implementation": "eager"}, {"kernel": "math"}, {"kernel": "flash"}], ids=str)
@pytest.mark.parametrize("beside", [(), ("amp_bfloat16",)], ids=str)
def test_attention_kernels_train(options: dict[str, str], beside: tuple[str, ...], tiny_model_root: Path) -> None:
    stack = [*map(build, beside), build("attention", **options)]
    assert unsupported_stack(stack, CPU, MODEL, WORKLOAD) is None
    session = load(tiny_model_root, *stack)
    assert collect_evidence(session, stack)["attention"]["facts"]["kernels"]
    losses = train(session)
    assert losses[-1] < losses[0]
    if not beside:
        assert losses[0] == pytest.approx(train(load(tiny_model_root), 1)[0], rel=1e-4), "the same function"


@pytest.mark.parametrize(("stack", "device", "reason"), [
    ([build("attention", implementation="flex_attention")], CPU, "flex_attention has no backward pass on a CPU"),
    ([build("attention", kernel="flash"), build("gradient_checkpointing")], CPU, "choose their kernel anew; choose kernel auto"),
    ([build("attention"), build("gradient_checkpointing")], CPU, None),
    ([build("attention", kernel="flash"), build("amp_bfloat16")], GPU, None),
    ([build("attention", kernel="flash"), build("float32")], GPU, "flash computes in float16 or bfloat16 on a GPU, not in float32"),
    ([build("float32", tf32=True)], CPU, "TF32 is a number type of NVIDIA GPUs"),
    ([build("float32", tf32=True)], GPU, None),
])  # fmt: skip
def test_what_does_not_go_together_says_so(stack: list[object], device: object, reason: str | None) -> None:
    said = unsupported_stack(stack, device, MODEL, WORKLOAD)  # type: ignore[arg-type]
    assert (said is None) if reason is None else reason in (said or ""), said


def test_tf32_is_read_back(tiny_model_root: Path) -> None:
    on, off = build("float32", tf32=True), build("float32")
    session = load(tiny_model_root, on)
    evidence = collect_evidence(session, [on])
    assert evidence["float32"]["facts"]["tf32"] is True and evidence["model"]["facts"]["tf32"] is True
    with pytest.raises(NotAppliedError, match="not applied: float32: tf32 is on in matrix products"):
        collect_evidence(session, [off])
    assert collect_evidence(load(tiny_model_root, off), [off])["model"]["facts"]["tf32"] is False


@pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled:UserWarning", "ignore:`torch.jit.:DeprecationWarning")
def test_a_compiled_model_trains_and_its_split_is_not_pretended(tmp_path: Path) -> None:
    """What compiled code holds inside is not seen tensor by tensor; the peak by counter is. Of one layer, as compiling takes long."""
    make(tmp_path / "tiny", num_hidden_layers=1, hidden_size=32, intermediate_size=32)
    workload = discover().workload("training_step", {
        "seq_len": 8, "batch_sizes": [2], "steps": 2, "warmups": 1, "quality_steps": 0, "learning_rate": 1e-2,
    })  # fmt: skip
    compiled = build("torch_compile")
    session = load(tmp_path, compiled)
    shown = collect_evidence(session, [compiled])["torch_compile"]
    assert shown["problem"] is None and shown["facts"]["graphs_compiled"] >= 1
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    meter = Meter(tmp_path, "cpu")
    workload.run(session, meter)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before, "compiled while training too"
    found = {m.metric: m for m in meter.recorded}
    assert found["step_seconds"].status is Status.SUCCEEDED and found["peak_memory_bytes"].status is Status.SUCCEEDED
    split = found["peak_activation_bytes"]
    assert split.status is Status.UNSUPPORTED and "compiled code makes its tensors unseen" in (split.reason or "")
