"""Which experiments may be joined, and the name of the fact that stands in the way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from engine.bundle import load_bundle
from engine.comparability import Difference, differences
from engine.registry import discover
from engine.settings import REPOSITORY
from tests.records import build_record

FACTS: dict[str, Any] = {
    "device": "NVIDIA H200", "driver": "580.1", "packages": {"torch": "2.13.0", "transformers": "5.17.0"}, "power_limit_watts": 700.0,
    "cpu_flags": ["avx2", "amx_int8"], "threads": 8, "machine": "here", "os": "Linux 6",
}  # fmt: skip
PROTOCOL = {"text": "wikitext2-test", "text_sha256": "a1", "tokens": 4096}


def a_record() -> dict[str, Any]:
    quality = {"base": {"perplexity": [20.0] * 8}}
    record = build_record({"base": {"ttft_seconds": [1.0]}}, quality=quality, quality_runs={"base": {"details": {"quality": PROTOCOL}}})
    record["environments"] = {"e" * 64: copy.deepcopy(FACTS)}
    return record


def facts(record: dict[str, Any]) -> dict[str, Any]:
    return record["environments"]["e" * 64]  # type: ignore[no-any-return]


def test_what_must_not_be_equal_stands_in_no_way() -> None:
    other = a_record()
    facts(other).update(machine="there", os="Linux 7", layered={"environment": "onnx", "packages": {"torch": "1"}})
    facts(other)["packages"]["transformers"] = "5.18.0"
    other["experiment"] |= {"id": "another", "title": "another"}
    assert differences(a_record(), other) == []


@pytest.mark.parametrize(("change", "difference"), [
    (lambda r: facts(r).update(device="NVIDIA H100"), Difference("device", "NVIDIA H200", "NVIDIA H100")),
    (lambda r: facts(r).update(driver="570.2"), Difference("driver", "580.1", "570.2")),
    (lambda r: facts(r)["packages"].update(torch="2.12.0"), Difference("torch", "2.13.0", "2.12.0")),
    (lambda r: facts(r).update(power_limit_watts=400.0), Difference("power limit in watts", "700.0", "400.0")),
    (lambda r: facts(r).pop("power_limit_watts"), Difference("power limit in watts", "700.0", "not recorded")),
    (lambda r: facts(r).update(cpu_flags=["avx2"]), Difference("CPU flags", "avx2 amx_int8", "avx2")),
    (lambda r: facts(r).update(threads=4), Difference("CPU threads", "8", "4")),
    (lambda r: r["variants"][0].update(stack=[{"technique": "bfloat16", "options": {}}]), Difference("baseline", "the model as stored", "bfloat16")),
    (lambda r: r["experiment"]["spec"]["model"].update(name="minilm-l6"), Difference("model", "bundled smollm2-135m", "bundled minilm-l6")),
    (lambda r: r["runs"][1]["details"]["quality"].update(text_sha256="b2"), Difference("quality text_sha256", "a1", "b2")),
])  # fmt: skip
def test_each_key_is_named_with_both_values(change: Callable[[dict[str, Any]], Any], difference: Difference) -> None:
    other = copy.deepcopy(a_record())
    change(other)
    assert differences(a_record(), other) == [difference]
    assert differences(other, a_record()) == [Difference(difference.key, difference.b, difference.a)]


def test_the_workload_is_compared_with_the_options_that_were_left_out() -> None:
    other, default = a_record(), a_record()
    usual = discover().workload("generation").model_dump(mode="json")["new_tokens"]
    other["experiment"]["spec"]["workload"]["options"] = {"new_tokens": usual}
    assert differences(default, other) == []
    other["experiment"]["spec"]["workload"]["options"] = {"new_tokens": [7]}
    assert differences(default, other) == [Difference("workload new_tokens", str(usual), "[7]")]
    other["experiment"]["spec"]["workload"] = {"name": "of a later version", "options": {}}
    assert differences(default, other)[0] == Difference("workload name", "generation", "of a later version")


def test_a_driver_that_was_updated_half_way_equals_neither() -> None:
    other = a_record()
    other["environments"]["f" * 64] = FACTS | {"driver": "590.0"}
    other["runs"][1]["environment"] = "f" * 64
    assert differences(a_record(), other) == [Difference("driver", "580.1", "580.1 and 590.0")]


def test_reference_results_of_two_cards_are_told_apart() -> None:
    h100, h200 = (load_bundle(REPOSITORY / "experiments" / "reference" / f"smollm2-135m-{card}.json") for card in ("h100", "h200"))
    assert differences(h100, h100) == []
    assert "device" in {d.key for d in differences(h100, h200)}


def test_an_option_of_another_version_is_compared_as_it_is_written() -> None:
    other = a_record()
    other["experiment"]["spec"]["workload"]["options"]["of_the_future"] = 1
    assert Difference("workload of_the_future", "not recorded", "1") in differences(a_record(), other)
