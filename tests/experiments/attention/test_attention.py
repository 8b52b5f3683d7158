"""The technique on a model: the chosen kernel runs in every later call, its evidence finds sabotage, and refusals name the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import Device, find_device
from engine.loading import NotAppliedError, collect_evidence, load_session
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import Session, Technique, unsupported_stack
from experiments.attention import availability
from experiments.attention.kernel_names import profiled
from tests.tiny_model import make

CPU = find_device("cpu")
HOPPER = Device("cuda:0", "cuda", "an H-class GPU", "here", 2**37, (9, 0), "GPU-0")
TURING = Device("cuda:0", "cuda", "an old GPU", "here", 2**34, (7, 5), "GPU-0")
TINY, NONE = ModelSpec(source="local", name="tiny"), ModelSpec(source="none", name="none")
BUNDLED, SHAPE = ModelSpec(source="bundled", name="smollm2-135m"), ModelSpec(source="shape", name="llama-7b")
IDS = torch.tensor([[2, 40, 41, 42, 50, 60, 61, 7]])
ON_CPU: list[dict[str, Any]] = [{}, {"kernel": "flash"}, {"kernel": "math"}, {"implementation": "eager"}]


def attention(**options: Any) -> Technique:
    return discover().technique("attention", options)


def load(root: Path, *stack: Technique, model: ModelSpec = TINY) -> Session:
    return load_session(model, stack, CPU, 0, root, root, root)


def tokens(session: Session) -> list[int]:
    out = session.model.generate(
        IDS, attention_mask=torch.ones_like(IDS), do_sample=False, max_new_tokens=16, min_new_tokens=16, **session.generate_options
    )
    return [int(t) for t in out[0]]


def reason(technique: Technique, device: Device, model: ModelSpec = BUNDLED, workload: str = "generation", *stack: Technique,
           **options: Any) -> str | None:
    return unsupported_stack([*stack, technique], device, model, discover().workload(workload, options))


@pytest.mark.parametrize("options", ON_CPU, ids=str)
def test_the_choice_holds_in_every_later_call_and_keeps_the_tokens(options: dict[str, Any], tiny_model_root: Path) -> None:
    technique = attention(**options)
    session = load(tiny_model_root, technique)
    first = collect_evidence(session, [technique])["attention"]
    assert first["problem"] is None and first["facts"]["kernels"]
    assert tokens(session) == tokens(load(tiny_model_root))
    during = profiled(lambda: tokens(session), "cpu")
    unwanted = {"flash": "attention_math", "math": "flash_attention"}.get(options.get("kernel", ""), "none of these")
    assert set(first["facts"]["kernels"]) <= set(during) and not [n for n in during if unwanted in n]


@pytest.mark.parametrize("options", [{"kernel": "math"}, {"implementation": "eager"}], ids=str)
def test_gpt2_too(options: dict[str, Any], tmp_path: Path) -> None:
    make(tmp_path / "tiny", "gpt2")
    assert collect_evidence(load(tmp_path, attention(**options)), [attention(**options)])["attention"]["problem"] is None


def test_a_kernel_that_is_not_forced_is_found_out(tiny_model_root: Path) -> None:
    """`apply` removed: transformers is told sdpa, and torch takes its flash kernel, not math."""
    sabotaged = type("Sabotaged", (type(attention()),), {"apply": lambda self, session: None, "__module__": __name__})
    broken = sabotaged(kernel="math")
    with pytest.raises(NotAppliedError, match="not applied: attention: sdpa with kernel math was chosen, but this ran: .*flash"):
        collect_evidence(load(tiny_model_root, broken), [broken])
    nothing = load(tiny_model_root, broken, model=NONE)
    with pytest.raises(NotAppliedError, match="but this ran: aten::_softmax"):
        collect_evidence(nothing, [broken])


def test_a_kernel_that_refuses_the_inputs_is_not_applied(tiny_model_root: Path) -> None:
    forced = attention(kernel="cudnn")
    with pytest.raises(NotAppliedError, match="it cannot run: No"):
        collect_evidence(load(tiny_model_root, forced), [forced])


def test_evidence_without_a_model_is_taken_in_the_workloads_numbers() -> None:
    technique = attention(kernel="flash")
    session = load(Path(), technique, model=NONE)
    session.workload = discover().workload("attention_kernel", {"dtype": "bfloat16", "head_dim": 24, "causal": True})
    shown = collect_evidence(session, [technique])["attention"]
    assert shown["problem"] is None and "aten::_scaled_dot_product_flash_attention_for_cpu" in shown["facts"]["kernels"]


def test_a_kernel_is_of_sdpa_only() -> None:
    with pytest.raises(ValueError, match="kernel: only sdpa has kernels to choose from"):
        attention(implementation="eager", kernel="math")


@pytest.mark.parametrize(("technique", "device", "model", "says"), [
    (attention(kernel="cudnn"), CPU, BUNDLED, "cudnn needs an NVIDIA GPU; choose device cuda"),
    (attention(kernel="mem_efficient"), CPU, BUNDLED, "mem_efficient needs an NVIDIA GPU"),
    (attention(implementation="flash_attn_4"), CPU, BUNDLED, "flash_attn_4 needs an NVIDIA GPU"),
    (attention(implementation="flash_attn_4"), TURING, SHAPE, "compute capability 9.0 or newer, an old GPU has 7.5"),
    (attention(implementation="flash_attention_2"), TURING, SHAPE, "compute capability 8.0 or newer"),
    (attention(implementation="flash_attn_4"), HOPPER, SHAPE, "pip install flash-attn-4"),
    (attention(implementation="flash_attention_2"), HOPPER, SHAPE, "pip install flash-attn"),
    (attention(kernel="flash"), HOPPER, BUNDLED, "not in float32; add the technique bfloat16 or float16 to the stack"),
    (attention(kernel="cudnn"), HOPPER, BUNDLED, "add the technique bfloat16 or float16"),
    (attention(implementation="tiled"), CPU, BUNDLED, "a lesson in plain PyTorch for the workload attention_kernel"),
], ids=lambda v: str(v)[:40])  # fmt: skip
def test_refusals_name_what_is_missing(technique: Technique, device: Device, model: ModelSpec, says: str) -> None:
    assert says in (reason(technique, device, model) or "")


def test_what_is_possible_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "installed", lambda name: True)
    bfloat16 = discover().technique("bfloat16")
    assert reason(attention(kernel="flash"), CPU) is None
    assert reason(attention(kernel="mem_efficient"), HOPPER) is None
    assert reason(attention(kernel="flash"), HOPPER, SHAPE) is None, "its own type is float16"
    assert reason(attention(kernel="cudnn"), HOPPER, BUNDLED, "generation", bfloat16) is None
    assert reason(attention(implementation="flash_attn_4"), HOPPER, SHAPE) is None
    assert reason(attention(kernel="flash"), HOPPER, TINY) is None, "only loading could tell"


def test_flex_on_a_cpu_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability.shutil, "which", lambda name: None)
    assert "needs g++ or clang++" in (reason(attention(implementation="flex_attention"), CPU) or "")
    assert reason(attention(implementation="flex_attention"), HOPPER) is None


def test_without_a_model_the_workloads_type_counts_and_other_techniques_have_nothing_to_act_on() -> None:
    flash, flex = attention(kernel="flash"), attention(implementation="flex_attention")
    assert "set the workload's dtype to float16 or bfloat16" in (reason(flash, HOPPER, NONE, "attention_kernel") or "")
    assert reason(flash, HOPPER, NONE, "attention_kernel", dtype="bfloat16") is None
    assert "no backward pass on a CPU" in (reason(flex, CPU, NONE, "attention_kernel", direction="forward_backward") or "")
    assert reason(attention(implementation="tiled"), CPU, NONE, "attention_kernel") is None
    assert "there is none here" in (reason(discover().technique("bfloat16"), CPU, NONE, "attention_kernel") or "")


def test_a_static_cache_needs_a_mask_that_the_gpu_flash_kernel_has_not() -> None:
    static = discover().technique("kv_cache", {"mode": "static"})
    assert "takes no mask" in (reason(attention(kernel="flash"), HOPPER, SHAPE, "generation", static) or "")
    assert reason(attention(kernel="flash"), CPU, BUNDLED, "generation", static) is None
    assert reason(attention(), HOPPER, SHAPE, "generation", static) is None
    quantized = discover().technique("quantized_kv_cache")
    assert "which a quantized KV cache needs" in (availability.masks_without_kernel("flash", HOPPER, [quantized]) or "")
    assert availability.masks_without_kernel("flash", CPU, [quantized]) is None
