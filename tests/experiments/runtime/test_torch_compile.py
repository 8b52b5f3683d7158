"""torch.compile, for real and once: the same greedy tokens, compiled anew after the proof; refused without a C++ compiler."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.devices import Device, find_device
from engine.loading import collect_evidence, load_session
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import unsupported_stack
from tests.tiny_model import make

MODEL = ModelSpec(source="local", name="tiny")


@pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled:UserWarning", "ignore:`torch.jit.:DeprecationWarning")
def test_compiles_and_gives_the_same_tokens(tmp_path: Path) -> None:
    """Of one layer: each graph takes many seconds to compile, and a second layer says nothing new."""
    from torch._dynamo.utils import counters

    make(tmp_path / "tiny", num_hidden_layers=1, hidden_size=32, intermediate_size=32)

    def greedy(*stack: object) -> tuple[list[int], torch.Tensor]:
        session = load_session(MODEL, stack, find_device("cpu"), 0, *[tmp_path] * 3)  # type: ignore[arg-type]
        if stack:
            facts = collect_evidence(session, stack)["torch_compile"]["facts"]  # type: ignore[arg-type]
            assert session.compile_seconds is not None and session.compile_seconds() == 0, "the proof's compilation does not count"
            assert facts["graphs_compiled"] >= 1 and facts["seconds_by_stage"]["total_wall_time"] > 0
        ids = torch.tensor([[2, 40, 41, 42, 50, 60, 61, 7]])
        out = session.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=2, min_new_tokens=2, pad_token_id=0,
            output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
        if stack:
            assert session.compile_seconds is not None and session.compile_seconds() > 0
        return out.sequences[0].tolist(), torch.cat(out.logits)

    before = counters["stats"]["unique_graphs"]
    (tokens, logits), (wanted, reference) = greedy(discover().technique("torch_compile", {"dynamic": True})), greedy()
    assert tokens == wanted and len(tokens) == 8 + 2 and (logits - reference).abs().max() < 1e-5, "of the prompt, and of a decode step"
    assert counters["stats"]["unique_graphs"] - before >= 2, "once for the proof, again in the first call that is timed"


def test_needs_a_compiler_on_a_cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    stack, workload = [discover().technique("torch_compile")], discover().workload("generation")
    said = unsupported_stack(stack, find_device("cpu"), MODEL, workload)
    assert said is not None and said.endswith("apt-get install g++")
    gpu = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")
    assert unsupported_stack(stack, gpu, MODEL, workload) is None
