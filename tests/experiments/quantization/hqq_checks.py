"""HQQ: how far each number of bits may be from the model, bytes as counted by hand, what is left alone and what cannot be packed.

Tests, but of the hqq environment: tests/experiments/quantization/test_hqq.py starts them there.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.devices import find_device
from engine.loading import NotAppliedError, collect_evidence, load_session
from engine.memory import storage_bytes
from engine.modelspec import ModelSpec
from engine.registry import discover
from engine.technique import Session, UnsupportedHereError
from tests.tiny_model import make

CPU = find_device("cpu")
MODEL = ModelSpec(source="local", name="tiny")
IDS = torch.tensor([[2, 40, 41, 42, 50, 60, 61, 7]])
# of one of the tiny model's two layers, (rows, columns): q, k, v, o, gate, up, down
LAYER = [(64, 64), (32, 64), (32, 64), (64, 64), (128, 64), (128, 64), (64, 128)]


def load(root: Path, *names: str, model: ModelSpec = MODEL, workload: str = "generation", **options: Any) -> Session:
    stack = [discover().technique(name, options if name == "hqq" else {}) for name in names]
    return load_session(model, stack, CPU, 0, root, root, root, discover().workload(workload))


def logits(session: Session) -> torch.Tensor:
    with torch.inference_mode():
        return session.model(IDS).logits.float()


def bytes_by_hand(bits: int, group_size: int, axis: int, number: int) -> int:
    """Of both layers. number: bytes of one scale, and of one zero point."""
    total = 0
    for rows, columns in LAYER:
        weights = rows * columns
        groups = weights // group_size
        if bits == 3:  # ten to an int32, packed over the first axis of (groups, group_size), or (group_size, groups) where axis is 0
            first, second = (groups, group_size) if axis else (group_size, groups)
            total += math.ceil(first / 10) * second * 4
        else:
            total += weights * bits // 8
        total += 2 * groups * number
    return 2 * total


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize(("group_size", "axis", "dtype"), [(64, 1, "float32"), (64, 1, "bfloat16"), (16, 1, "bfloat16"), (64, 0, "float32")])
def test_bytes_are_the_hand_counted_ones(bits: int, group_size: int, axis: int, dtype: str, tiny_model_root: Path) -> None:
    """Packed weights, scales and zero points: all in the count, and nothing twice."""
    number = 4 if dtype == "float32" else 2
    plain = storage_bytes(load(tiny_model_root, dtype).model)
    packed = storage_bytes(load(tiny_model_root, dtype, "hqq", bits=bits, group_size=group_size, axis=axis).model)
    replaced = 2 * sum(r * c * number for r, c in LAYER)
    assert plain - packed == replaced - bytes_by_hand(bits, group_size, axis, number)


# Largest difference of a logit, and of a weight from the one it stands for (root mean square), both relative.
@pytest.mark.parametrize(("bits", "of_logits", "of_weights"), [(8, 0.02, 0.01), (4, 0.35, 0.15), (3, 0.7, 0.3), (2, 1.5, 0.6)])
def test_each_number_of_bits_within_its_tolerance(bits: int, of_logits: float, of_weights: float, tiny_model_root: Path) -> None:
    base, session = load(tiny_model_root), load(tiny_model_root, "hqq", bits=bits)
    out, reference = logits(session), logits(base)
    assert torch.isfinite(out).all()
    assert (out - reference).abs().max() < of_logits * reference.abs().max()
    for name, layer in base.model.named_modules():
        if isinstance(layer, torch.nn.Linear) and name != "lm_head":
            error = session.model.get_submodule(name).dequantize() - layer.weight
            assert error.norm() < of_weights * layer.weight.norm(), name
            assert error.norm() > 0, "the weights really went through few bits"


@pytest.mark.parametrize("axis", [0, 1])
def test_fewer_bits_are_less_exact(axis: int, tiny_model_root: Path) -> None:
    reference = logits(load(tiny_model_root))
    errors = [float((logits(load(tiny_model_root, "hqq", bits=bits, axis=axis)) - reference).norm()) for bits in (8, 4, 3, 2)]
    assert errors == sorted(errors)
    small_groups = float((logits(load(tiny_model_root, "hqq", bits=2, axis=axis, group_size=16)) - reference).norm())
    assert small_groups < errors[-1]


def test_without_effect_it_is_found_out(tiny_model_root: Path) -> None:
    with pytest.raises(NotAppliedError, match="not applied: hqq: no layer became HQQLinear"):
        collect_evidence(load(tiny_model_root), [discover().technique("hqq")])


@pytest.mark.parametrize(("option", "got", "wanted"), [("bits", 2, 4), ("group_size", 32, 64), ("axis", 0, 1)])
def test_options_are_read_back_from_the_layers(option: str, got: int, wanted: int, tiny_model_root: Path) -> None:
    session = load(tiny_model_root, "hqq", **{option: got})
    shown = collect_evidence(session, [discover().technique("hqq", {option: got})])["hqq"]
    assert shown["facts"][option] == {str(got): 14} and shown["facts"]["layer"] == "HQQLinear"
    with pytest.raises(NotAppliedError, match=f"{option} is {got} in 14 layers, {wanted} was asked for"):
        collect_evidence(session, [discover().technique("hqq", {option: wanted})])


def test_three_bits_are_told_from_two(tiny_model_root: Path) -> None:
    with pytest.raises(NotAppliedError, match="weights are torch.uint8, not torch.int32"):
        collect_evidence(load(tiny_model_root, "hqq", bits=2), [discover().technique("hqq", {"bits": 3})])


def test_a_layer_that_was_left_out_is_found_out(tiny_model_root: Path) -> None:
    session = load(tiny_model_root, "hqq")
    session.model.model.layers[1].mlp.up_proj = torch.nn.Linear(64, 128, bias=False)
    with pytest.raises(NotAppliedError, match=r"1 layers were left as they were, model.layers.1.mlp.up_proj first"):
        collect_evidence(session, [discover().technique("hqq")])


def test_gpt2_conv1d_layers_are_packed_with_their_biases(tmp_path: Path) -> None:
    make(tmp_path / "tiny", "gpt2")
    session = load(tmp_path, "hqq")
    facts = collect_evidence(session, [discover().technique("hqq")])["hqq"]["facts"]
    assert (facts["replaced"], facts["not_replaced"]) == (2 * 4, 1)
    assert (logits(session) - logits(load(tmp_path))).abs().max() < 0.1


def test_a_classifier_keeps_its_head(tmp_path: Path) -> None:
    make(tmp_path / "tiny", "bert")
    session = load(tmp_path, "hqq", workload="classification")
    assert type(session.model.classifier) is torch.nn.Linear
    assert collect_evidence(session, [discover().technique("hqq")])["hqq"]["facts"]["not_replaced"] == 1


def test_a_shape_is_packed_after_it_was_made(tiny_model_root: Path) -> None:
    session = load(tiny_model_root, "hqq", model=ModelSpec(source="shape", name="tiny-llama"))
    assert collect_evidence(session, [discover().technique("hqq")])["hqq"]["facts"]["replaced"] == 14
    assert torch.isfinite(logits(session)).all()


@pytest.mark.parametrize(("shape", "options", "fits"), [
    ((24, 3), {"group_size": 16}, False),  # 72 weights: 4.5 groups
    ((16, 3), {"group_size": 16}, False),  # 3 groups, 2 to a byte
    ((16, 3), {"group_size": 16, "axis": 0}, True),
    ((16, 3), {"group_size": 16, "bits": 3}, True),
    ((16, 6), {"group_size": 16, "bits": 2}, False),  # 6 groups, 4 to a byte
    ((16, 8), {"group_size": 16, "bits": 2}, True),
])  # fmt: skip
def test_what_cannot_be_packed_says_which_layer_and_what_to_change(shape: tuple[int, int], options: dict[str, int], fits: bool) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(*shape))
    plain = model[0].weight.detach().clone()
    session = SimpleNamespace(model=model, torch_device="cpu")
    technique = discover().technique("hqq", options)
    if fits:
        technique.apply(session)  # type: ignore[arg-type]
        assert (session.model[0].dequantize() - plain).norm() < 0.6 * plain.norm()
    else:
        with pytest.raises(UnsupportedHereError, match=rf"hqq: the {math.prod(shape)} weights of 0 .* groups of 16; choose a smaller group_size"):
            technique.apply(session)  # type: ignore[arg-type]
