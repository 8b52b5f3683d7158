"""Every technique that acts in training, on a tiny random model in this process: applies, proves it, and trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.devices import Device, find_device
from engine.environments import CORE
from engine.loading import NotAppliedError, collect_evidence, load_session
from engine.memory import storage_bytes
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import Session, Technique, processes_of, unsupported_stack

CPU = find_device("cpu")
GPU = Device("cuda:0", "cuda", "a GPU", "here", 2**37, (9, 0), "GPU-0")
MODEL = ModelSpec(source="local", name="tiny")
WORKLOAD = discover().workload("training_step", {"learning_rate": 1e-2})
HERE = [
    cls() for cls in discover().techniques.values()
    if cls.phase == "training" and cls.environment == CORE and unsupported_stack([cls()], CPU, MODEL, WORKLOAD) is None
    and processes_of([cls()], CPU) is None  # what needs a group of processes: test_parallelism
]  # fmt: skip
IDS = torch.tensor([[2, 40, 41, 42, 50, 60, 61, 7]] * 2)


def load(root: Path, *stack: Technique) -> Session:
    return load_session(MODEL, stack, CPU, 0, root, root, root, WORKLOAD)


def build(name: str, **options: Any) -> Technique:
    return discover().technique(name, options)


def train(session: Session, steps: int = 8) -> list[float]:
    assert session.training is not None
    session.training.start()
    session.model.train()
    return [float(session.training.step([IDS])) for _ in range(steps)]


@pytest.mark.parametrize("technique", HERE, ids=lambda t: t.name)
def test_applies_proves_and_trains(technique: Technique, tiny_model_root: Path) -> None:
    session = load(tiny_model_root, technique)
    shown = collect_evidence(session, [technique])[technique.name]
    assert shown["problem"] is None and shown["facts"]
    assert all(p.grad is None for p in session.model.parameters()), "the proof leaves no gradients"
    losses = train(session)
    assert losses[-1] < losses[0], losses


@pytest.mark.parametrize("technique", HERE, ids=lambda t: t.name)
def test_the_proof_changes_no_weight(technique: Technique, tiny_model_root: Path) -> None:
    session = load(tiny_model_root, technique)
    before = {name: p.detach().clone() for name, p in session.model.named_parameters()}
    collect_evidence(session, [technique])
    assert all(torch.equal(before[name], p) for name, p in session.model.named_parameters())


@pytest.mark.parametrize("technique", HERE, ids=lambda t: t.name)
def test_sabotaged_technique_is_found_out(technique: Technique, tiny_model_root: Path) -> None:
    sabotaged = type("Sabotaged", (type(technique),), {"prepare": lambda self, plan: plan, "apply": lambda self, session: None})
    sabotaged.__module__ = __name__
    broken = sabotaged()
    with pytest.raises(NotAppliedError, match=f"not applied: {technique.name}"):
        collect_evidence(load(tiny_model_root, broken), [broken])


def test_checkpointing_gives_the_same_gradients(tiny_model_root: Path) -> None:
    """With dropout on: the recomputation must draw the same random numbers."""

    def gradients(*stack: Technique) -> dict[str, torch.Tensor]:
        session = load(tiny_model_root, *stack)
        session.model.train()
        for layer in session.model.model.layers:
            layer.self_attn.attention_dropout = 0.3
        torch.manual_seed(7)
        session.model(input_ids=IDS, labels=IDS, use_cache=False).loss.backward()
        return {name: p.grad for name, p in session.model.named_parameters()}

    plain = gradients()
    for every in (1, 2):
        for name, gradient in gradients(build("gradient_checkpointing", every=every)).items():
            assert torch.allclose(gradient, plain[name], rtol=0, atol=1e-6), (every, name)


def test_every_second_block_is_checkpointed(tiny_model_root: Path) -> None:
    technique = build("gradient_checkpointing", every=2)
    facts = collect_evidence(load(tiny_model_root, technique), [technique])[technique.name]["facts"]
    assert facts == {"blocks": 2, "blocks_that_run_twice": 1}


def test_lora_trains_few_parameters_and_the_rest_stays(tiny_model_root: Path) -> None:
    session = load(tiny_model_root, build("lora", rank=4, alpha=8))
    before = {name: p.detach().clone() for name, p in session.model.named_parameters() if not p.requires_grad}
    assert session.training is not None
    # q_proj is 64 x 64, v_proj 32 x 64 (2 of 4 heads are keys and values), in 2 layers
    assert sum(p.numel() for p in session.training.trainable()) == 2 * 4 * ((64 + 64) + (64 + 32))
    train(session, 3)
    after = dict(session.model.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_lora_beside_bfloat16_weights_says_that_its_own_are_float32(tiny_model_root: Path) -> None:
    stack = [build("bfloat16"), build("lora")]
    session = load(tiny_model_root, *stack)
    facts = collect_evidence(session, stack)["bfloat16"]["facts"]
    assert set(facts["floating_point_parameters_by_dtype"]) == {"bfloat16"} and facts["adapter"] == {"float32": 8}
    losses = train(session)
    assert losses[-1] < losses[0]


def test_what_quantization_leaves_is_float32_beside_an_adapter(tiny_model_root: Path) -> None:
    stack = [build("bfloat16"), build("bnb_4bit"), build("lora")]
    session = load(tiny_model_root, *stack)
    facts = collect_evidence(session, stack)["bfloat16"]["facts"]
    assert facts["prepared_for_k_bit_training"] and set(facts["floating_point_parameters_by_dtype"]) == {"float32"}
    assert train(session)


def test_qlora_trains_beside_4_bit_weights(tiny_model_root: Path) -> None:
    stack = [build("bnb_4bit", compute_dtype="float32"), build("lora")]
    session = load(tiny_model_root, *stack)
    evidence = collect_evidence(session, stack)
    assert evidence["lora"]["facts"]["base"] == ["Linear4bit"]
    losses = train(session)
    assert losses[-1] < losses[0]


def test_qlora_trains_after_a_call_in_eval_mode(tiny_model_root: Path) -> None:
    """Perplexity before training is such a call; bitsandbytes then packs the weights for inference where the CPU has AVX512-BF16."""
    stack = [build("bnb_4bit"), build("lora")]
    session = load(tiny_model_root, *stack)
    with torch.no_grad():
        session.model(IDS)
    losses = train(session)
    assert losses[-1] < losses[0]


def test_adapters_that_get_no_gradient_are_found_out(tiny_model_root: Path) -> None:
    lora = build("lora")
    session = load(tiny_model_root, lora)
    for layer in session.model.base_model.model.model.layers:
        layer.mlp.register_forward_hook(lambda _module, _inputs, output: output.detach())
        layer.self_attn.register_forward_hook(lambda _module, _inputs, output: (output[0].detach(), *output[1:]))
    with pytest.raises(NotAppliedError, match="not applied: lora: 4 of 4 adapters get no gradient"):
        collect_evidence(session, [lora])


def test_states_are_as_large_as_the_optimizer_says(tiny_model_root: Path) -> None:
    sizes = {}
    for name in ("adamw", "adafactor"):
        session = load(tiny_model_root, build(name))
        train(session, 1)
        assert session.training is not None
        sizes[name] = storage_bytes(*session.training.state_tensors())
    parameters = list(load(tiny_model_root).model.parameters())
    elements, matrices = sum(p.numel() for p in parameters), [p for p in parameters if p.dim() == 2]
    assert sizes["adamw"] == 8 * elements + 4 * len(parameters), "two float32 numbers each, and a step count"
    vectors = sum(p.numel() for p in parameters if p.dim() == 1)
    assert sizes["adafactor"] == 4 * (sum(sum(p.shape) for p in matrices) + vectors) + 4 * len(parameters), "a row and a column, and a mean square"


def test_overflowing_steps_are_skipped_and_counted(tiny_model_root: Path) -> None:
    session = load(tiny_model_root, build("amp_float16"))
    training = session.training
    assert training is not None
    training.start()
    training.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    before = [p.detach().clone() for p in session.model.parameters()]
    training.step([IDS])
    assert training.skipped_steps == 1
    assert all(torch.equal(a, b) for a, b in zip(before, session.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("stack", "workload", "reason"),
    [
        (["bnb_4bit"], "training_step", "bnb_4bit: its weights take no gradients; add an adapter"),
        (["kv_cache"], "training_step", "kv_cache: it has no effect on the workload training_step, it is for inference"),
        (["adamw"], "generation", "adamw: it has no effect on the workload generation, it is for training"),
        (["amp_bfloat16", "bnb_4bit", "lora"], "training_step", "amp_bfloat16: the weights of bnb_4bit are not float32"),
        (["adam8bit"], "training_step", "adam8bit: bitsandbytes has 8-bit optimizer kernels for GPUs only"),
        (["bnb_4bit", "lora"], "training_step", None),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason(stack: list[str], workload: str, reason: str | None) -> None:
    said = unsupported_stack([build(name) for name in stack], CPU, MODEL, discover().workload(workload))
    assert (said is None) if reason is None else (said or "").startswith(reason)
    if stack == ["adam8bit"]:
        assert unsupported_stack([build("adam8bit")], GPU, MODEL, WORKLOAD) is None


def test_a_layer_that_is_not_there_is_named(tiny_model_root: Path) -> None:
    with pytest.raises(ValueError, match="lora.target_modules: the model has no layer 'c_attn'; it has .*q_proj"):
        load(tiny_model_root, build("lora", target_modules=["c_attn"]))
