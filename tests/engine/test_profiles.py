"""The rule behind the shares of a profile, with times that are known; and what a page makes of runs without a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.profiles import Profile, Trace, cpu_shares, gpu_shares, is_matrix_product, read_profile, trace_file

PROFILE = Profile(what="one step", device="cpu", steps=1, step_seconds=1.0, shares={"matrix_products": 1.0})


@pytest.mark.parametrize("name", [
    "aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::mv", "aten::linear", "aten::matmul", "aten::dot", "aten::_int_mm",
    "aten::_scaled_mm", "aten::_weight_int4pack_mm_for_cpu", "aten::_scaled_dot_product_flash_attention_for_cpu", "quantized::linear_dynamic",
    "mkldnn::_linear_pointwise", "bitsandbytes::gemv_4bit", "bitsandbytes::int8_scaled_mm", "aten::mkldnn_convolution", "aten::conv1d",
    "nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_TNT", "ampere_sgemm_128x64_tn", "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm>(Params)",
    "sm90_xmma_gemm_bf16bf16_bf16f32", "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64>>", "fmha_cutlassF_f32_aligned_64x64",
    "void gemv2T_kernel_val<int, int, float>", "cudnn_generated_fort_native_sdpa_sm90_flash_fprop", "triton_tem_fused_flex_attention_0",
    "void cublasLt::splitKreduce_kernel<32, 16>",
])  # fmt: skip
def test_matrix_products(name: str) -> None:
    assert is_matrix_product(name)


@pytest.mark.parametrize("name", [
    "aten::mul", "aten::add_", "aten::_softmax", "aten::native_layer_norm", "aten::copy_", "aten::silu", "aten::embedding", "aten::argmax",
    "aten::clamp_min", "aten::_foreach_addcdiv_", "aten::sum", "aten::cat", "aten::bernoulli_", "aten::native_dropout", "aten::rsqrt",
    "bitsandbytes::dequantize_4bit", "cudaLaunchKernel", "Memcpy HtoD (Pageable -> Device)", "Memset (Device)", "aten::command",
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>", "void at::native::reduce_kernel<512, 1>",
    "triton_poi_fused_mul_silu_0", "aten::norm", "aten::remainder",
])  # fmt: skip
def test_other_operators(name: str) -> None:
    assert not is_matrix_product(name)


def test_shares_of_a_gpu_are_of_the_wall_time_and_overlap_counts_once() -> None:
    """Ten seconds; a product from 1 to 4, a copy beside it from 2 to 5, another kernel from 6 to 8: busy for 4 + 2 seconds."""
    shares = gpu_shares(10.0, [("aten_elementwise", 6.0, 8.0), ("sgemm", 1.0, 4.0), ("Memcpy", 2.0, 5.0)])
    assert shares == {"matrix_products": pytest.approx(0.6 * 3 / 8), "memory_bound": pytest.approx(0.6 * 5 / 8), "launch_and_idle": pytest.approx(0.4)}


def test_a_gpu_without_kernels_was_idle() -> None:
    assert gpu_shares(1.0, []) == {"matrix_products": 0.0, "memory_bound": 0.0, "launch_and_idle": 1.0}


def test_shares_of_a_cpu_leave_the_rest_outside_of_operators() -> None:
    shares = cpu_shares(10.0, [("aten::mm", 3.0), ("aten::mm", 1.0), ("aten::mul", 2.0)])
    assert shares == {"matrix_products": pytest.approx(0.4), "memory_bound": pytest.approx(0.2), "outside_operators": pytest.approx(0.4)}
    assert cpu_shares(1.0, [("aten::mm", 1.5)]) == {"matrix_products": 1.0, "memory_bound": 0.0, "outside_operators": 0.0}


@pytest.mark.parametrize(("run", "said"), [
    ({"status": "out_of_memory", "reason": "cuda: no room", "details": {}}, "out of memory: cuda: no room"),
    ({"status": "queued", "reason": None, "details": None}, "queued"),
    ({"status": "succeeded", "reason": None, "details": {"profile": {"not_measured": "no step"}}}, "not measured: no step"),
    ({"status": "succeeded", "reason": None, "details": {"profile": {"what": 1, "operators": "many"}}}, "not readable by this version"),
    ({"status": "succeeded", "reason": None, "details": {"profile": PROFILE.model_dump(mode="json") | {"later": 1}}}, PROFILE),
])  # fmt: skip
def test_a_run_has_a_profile_or_says_why_not(run: dict[str, Any], said: Any) -> None:
    assert read_profile(run) == said


def test_a_trace_is_named_by_a_hash_and_nothing_else() -> None:
    """What a bundle says of its trace must lead to no other file."""
    assert trace_file(Path("a"), Trace(sha256="0" * 64)) == Path("a/traces") / f"{'0' * 64}.json.gz"
    assert trace_file(Path("a"), Trace(absent="too large")) is None
    with pytest.raises(ValueError, match="sha256"):
        Trace(sha256="../../../etc/passwd")
