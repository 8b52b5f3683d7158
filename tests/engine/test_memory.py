"""Bytes are counted from storage: shared once, packed ones included."""

from __future__ import annotations

import pytest
import torch

from engine.memory import cache_bytes, peaks, reset_peak, storage_bytes


def test_plain_and_tied_parameters_count_once() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(10, 20, bias=False), torch.nn.Linear(20, 10, bias=False))
    assert storage_bytes(model) == 2 * 200 * 4
    model[1].weight = torch.nn.Parameter(model[0].weight.t())
    assert storage_bytes(model) == 200 * 4


def test_views_count_their_whole_storage() -> None:
    module = torch.nn.Module()
    module.register_buffer("row", torch.zeros(100, 10)[0])
    assert storage_bytes(module) == 1000 * 4


def test_bitsandbytes_states_are_counted() -> None:
    import bitsandbytes as bnb

    plain = bnb.nn.Linear4bit(256, 256, bias=False, compress_statistics=False, quant_type="nf4")
    plain.load_state_dict({"weight": torch.randn(256, 256)})
    plain.to("cpu")
    if plain.weight.dtype != torch.uint8:
        plain.weight = plain.weight.to("cpu")
    blocks = 256 * 256 // 64
    expected = 256 * 256 // 2 + blocks * 4  # half a byte a weight and a float32 per block of 64
    assert expected <= storage_bytes(plain) <= expected + 16 * 4 + 64  # and the table of 16 levels


@pytest.mark.parametrize("layers", [1, 40])
def test_dynamic_int8_is_one_byte_a_weight_however_many_layers(layers: int) -> None:
    import warnings

    plain = torch.nn.Sequential(*(torch.nn.Linear(128, 128) for _ in range(layers)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(plain, {torch.nn.Linear}, dtype=torch.qint8)
    assert storage_bytes(model) == layers * (128 * 128 + 128 * 4)


def test_torchao_int8_is_one_byte_a_weight_and_scales() -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = torch.nn.Sequential(torch.nn.Linear(128, 64, bias=False))
    quantize_(model, Int8WeightOnlyConfig())
    assert 128 * 64 + 64 * 4 <= storage_bytes(model) <= 128 * 64 + 64 * 16


def test_cache_bytes() -> None:
    from transformers import DynamicCache

    cache = DynamicCache()
    cache.update(torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 5, 8), 0)
    assert cache_bytes(cache) == 2 * 1 * 2 * 5 * 8 * 4
    assert cache_bytes(None) == 0


def test_peak_sees_a_passing_allocation() -> None:
    assert reset_peak("cpu")
    before = peaks("cpu")["peak_memory_bytes"]
    block = bytearray(200 * 2**20)
    block[:: 4096] = b"x" * len(block[::4096])
    del block
    assert peaks("cpu")["peak_memory_bytes"] - before > 150 * 2**20
    assert reset_peak("cpu")
    assert peaks("cpu")["peak_memory_bytes"] - before < 100 * 2**20


def test_quantized_caches_are_packed_numbers_and_scales() -> None:
    """transformers' float8 cache: one byte a number and one float32 for all keys, or values, of a layer."""
    from transformers import LlamaConfig, QuantizedCache

    cache = QuantizedCache("fp8", LlamaConfig(num_hidden_layers=3))
    for layer in range(3):
        cache.update(torch.ones(1, 2, 5, 8), torch.ones(1, 2, 5, 8), layer)
        cache.update(torch.ones(1, 2, 1, 8), torch.ones(1, 2, 1, 8), layer)
    assert cache_bytes(cache) == 3 * 2 * (2 * (5 + 1) * 8 * 1 + 4)
