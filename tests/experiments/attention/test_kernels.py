"""Every implementation computes attention: against float64, causal and not, with lengths that no tile divides; and its profile names it."""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from engine.measurement import Measurement
from engine.metrics import METRICS
from experiments.attention import exactness, kernel_names
from experiments.attention.kernels import attention_call, only_kernel

CHOICES: list[tuple[Any, Any]] = [("eager", "auto"), ("sdpa", "auto"), ("sdpa", "flash"), ("sdpa", "math"), ("tiled", "auto")]


def inputs(n: int = 100, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 3, n, 16, generator=generator).to(dtype) for _ in range(3)]


def exact(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> torch.Tensor:
    scores = q.double() @ k.double().transpose(-2, -1) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -math.inf)
    return torch.softmax(scores, dim=-1) @ v.double()


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize(("implementation", "kernel"), CHOICES, ids=lambda c: c)
def test_computes_attention_and_its_gradients(implementation: Any, kernel: Any, causal: bool) -> None:
    tensors = [t.requires_grad_() for t in inputs()]
    out = attention_call(implementation, kernel, 100, "cpu", causal)(*tensors)
    reference = [t.detach().double().requires_grad_() for t in tensors]
    wanted = exact(reference[0], reference[1], reference[2], causal)
    assert (out - wanted).abs().max() < 1e-6
    for a, b in zip(torch.autograd.grad(out.sum(), tensors), torch.autograd.grad(wanted.sum(), reference), strict=True):
        assert (a - b).abs().max() < 1e-5


@pytest.mark.parametrize(("implementation", "kernel"), CHOICES, ids=lambda c: c)
def test_its_profile_confirms_it_and_contradicts_every_other(implementation: Any, kernel: Any) -> None:
    """`auto` is confirmed by whichever kernel torch took; nothing else is confirmed by two choices."""
    tensors, call = inputs(), attention_call(implementation, kernel, 100, "cpu", False)
    names = kernel_names.profiled(lambda: call(*tensors), "cpu")
    confirmed = [c for c in [*CHOICES, ("flash_attn_4", "auto"), ("flash_attention_2", "auto"), ("flex_attention", "auto"),
                             ("sdpa", "cudnn"), ("sdpa", "mem_efficient")] if kernel_names.contradiction(*c, names) is None]  # fmt: skip
    assert (implementation, kernel) in confirmed
    assert set(confirmed) <= {(implementation, kernel), ("sdpa", "auto"), ("sdpa", "flash")}
    assert ("sdpa", "flash") not in confirmed or (implementation == "sdpa" and kernel != "math")


@pytest.mark.parametrize(("names", "confirmed"), [
    (["aten::_scaled_dot_product_efficient_attention", "aten::scaled_dot_product_attention", "fmha_cutlassF_f32_aligned_64x64"], ("sdpa", "mem_efficient")),
    (["aten::_scaled_dot_product_cudnn_attention", "aten::scaled_dot_product_attention"], ("sdpa", "cudnn")),
    (["aten::_scaled_dot_product_flash_attention", "aten::scaled_dot_product_attention", "pytorch_flash::flash_fwd_kernel"], ("sdpa", "flash")),
    (["kernel_cutlass_kernel_flash_attncuteflash_fwd_sm90FlashAttentionForwardSm90"], ("flash_attn_4", "auto")),
    (["triton_tem_fused_flex_attention_0"], ("flex_attention", "auto")),
])  # fmt: skip
def test_names_that_gpus_report(names: list[str], confirmed: Any) -> None:
    assert kernel_names.contradiction(*confirmed, names) is None
    for other in (("eager", "auto"), ("sdpa", "math"), ("tiled", "auto")):
        said = kernel_names.contradiction(*other, names)
        assert said is not None and names[0] in said


def test_a_forced_kernel_holds_within_the_context_only_and_never_falls_back() -> None:
    q, k, v = inputs()
    with only_kernel("mem_efficient"), pytest.raises(RuntimeError, match="No viable backend|No available kernel"):
        torch.nn.functional.scaled_dot_product_attention(q, k, v)
    torch.nn.functional.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize("as_tuple", [False, True])
@pytest.mark.parametrize(("implementation", "module"), [("flash_attention_2", "flash_attn"), ("flash_attn_4", "flash_attn.cute")])
def test_the_package_gets_its_own_layout_and_ours_comes_back(
    implementation: Any, module: str, as_tuple: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """flash-attn wants (batch, length, heads, dimension) and some versions answer (output, log-sum-exp). A stand-in checks both."""

    def flash_attn_func(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool = False) -> Any:
        assert q.shape == (2, 100, 3, 16)
        out = exact(*(t.transpose(1, 2) for t in (q, k, v)), causal).transpose(1, 2).float()
        return (out, None) if as_tuple else out

    for name in {"flash_attn", module}:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[module].flash_attn_func = flash_attn_func  # type: ignore[attr-defined]
    q, k, v = inputs()
    out = attention_call(implementation, "auto", 100, "cpu", True)(q, k, v)
    assert (out - exact(q, k, v, True)).abs().max() < 1e-6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, by its own compiler
def test_flex_attention_is_compiled_and_computes_attention() -> None:
    q, k, v = inputs(130)
    call = attention_call("flex_attention", "auto", 130, "cpu", True)
    with torch.inference_mode():
        assert (call(q, k, v) - exact(q, k, v, True)).abs().max() < 1e-6
    names = kernel_names.profiled(lambda: call(q, k, v), "cpu")
    assert kernel_names.contradiction("flex_attention", "auto", names) is None, names
    assert kernel_names.contradiction("sdpa", "flash", names)


def test_in_a_compiled_model_fused_kernels_keep_their_names_and_plain_operators_have_none() -> None:
    graph = "## Call CompiledFxGraph abc ##"
    fused = [graph, "aten::_scaled_dot_product_flash_attention"]
    assert kernel_names.contradiction("sdpa", "flash", fused) is None and kernel_names.contradiction("sdpa", "auto", fused) is None
    assert kernel_names.contradiction("eager", "auto", fused) and kernel_names.contradiction("sdpa", "math", fused)
    assert kernel_names.contradiction("eager", "auto", [graph]) is None and kernel_names.contradiction("sdpa", "math", [graph]) is None
    assert kernel_names.contradiction("sdpa", "flash", [graph]) and kernel_names.contradiction("sdpa", "auto", [graph])


def test_the_error_is_that_of_the_worst_checked_row_relative_to_the_largest_value() -> None:
    q, k, v = inputs(300)
    for causal in (False, True):
        reference = exact(q, k, v, causal)
        assert max(exactness.head_errors(q, k, v, reference, causal)) < 1e-14
        wrong = reference.clone()
        wrong[1, 2, -1, 3] += 0.5
        errors = exactness.head_errors(q, k, v, wrong, causal)
        assert len(errors) == 6 and [e > 1e-3 for e in errors] == [False] * 5 + [True]
        checked = torch.linspace(0, 299, exactness.ROWS, dtype=torch.float64).round().long()
        assert errors[5] == pytest.approx(0.5 / float(reference[:, :, checked].abs().max()))


def test_bfloat16_is_judged_by_its_arithmetic_not_by_its_rounded_inputs() -> None:
    q, k, v = inputs(200, torch.bfloat16)
    (error,) = {max(exactness.head_errors(q, k, v, attention_call("sdpa", "flash", 200, "cpu", False)(q, k, v), False))}
    assert 1e-4 < error < 2e-2


def test_an_output_that_is_no_number_is_no_measurement() -> None:
    q, k, v = inputs(10)
    errors = exactness.head_errors(q, k, v, torch.full_like(v, math.nan), False)
    with pytest.raises(ValueError, match="not a finite number"):
        Measurement("attention_error", samples=tuple(errors), value=max(errors))
    assert METRICS["attention_error"].higher_is_better is False
