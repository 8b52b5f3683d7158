"""Each reader on a file that the tool itself wrote; whatever is wrong with a file is one sentence that names file and field.

How the files came to be: optimum_benchmark*.json by optimum-benchmark 0.6.0 on a CPU with a tiny random model (benchmark.json and
benchmark_report.json of one run); optimum_benchmark_gpu.json by its dataclasses Benchmark, Memory, Latency and Throughput, with numbers
put in by hand. lm_eval.json by lm-eval 0.4.13 on twelve made-up questions in the place of PIQA's and WikiText's texts. guidellm.json by
`guidellm run` 0.8.1, profile sweep, against its own mock server; of each request and of the metrics only what is read was kept. aiperf.json
by `aiperf profile` 0.13.0 against the same server. genai_perf.json by genai-perf 0.0.16's Statistics and JsonExporter, numbers put in by
hand. Paths were shortened.
"""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from engine.imports import reading, tools
from engine.imports.reading import NotThisFormatError
from engine.metrics import METRICS

FILES = Path(__file__).with_name("files")
NAMES = sorted(p.name for p in FILES.glob("*.json"))


def content(name: str) -> bytes:
    return (FILES / name).read_bytes()


def data(name: str) -> Any:
    return json.loads(content(name))


def read(changed: Any, name: str = "file.json") -> dict[str, Any]:
    return tools.read_file(name, changed if isinstance(changed, bytes) else json.dumps(changed).encode())


def numbers(record: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """{(metric, what differs in the point): measurement}."""
    return {(m["metric"], str(m["point"].get("load", m["point"].get("dataset", "")))): m for r in record["runs"] for m in r["measurements"]}


def details(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = record["runs"][0]["details"]["imported"]
    return found


def extras(record: dict[str, Any]) -> dict[str, float]:
    return {e["name"]: e["value"] for e in details(record)["extras"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_recognized_by_one_reader_and_says_where_it_comes_from(name: str) -> None:
    assert [r.name for r in tools.READERS if r.recognizes(data(name))] != [] and sum(r.recognizes(data(name)) for r in tools.READERS) == 1
    record = read(content(name), name)
    experiment = record["experiment"]
    assert experiment["source"] == "imported" and experiment["spec"]["imported"]["file"] == name
    assert "(imported from " in experiment["title"] and record["variants"][0]["name"].endswith("(imported)")
    assert len(experiment["id"]) == 22 and len(record["variants"]) == 1
    for measurement in (m for run in record["runs"] for m in run["measurements"]):
        assert measurement["metric"] in METRICS and math.isfinite(measurement["value"]) and measurement["n_samples"] > 0
        assert details(record)["origins"][measurement["metric"]]


def test_optimum_benchmark_on_a_cpu() -> None:
    record, report = read(content("optimum_benchmark.json")), data("optimum_benchmark.json")["report"]
    found = {metric: m for (metric, _), m in numbers(record).items()}
    assert found["ttft_seconds"]["point"] == {"batch": 2, "prompt_tokens": 16, "new_tokens": 8}
    assert found["ttft_seconds"]["samples"] == report["prefill"]["latency"]["values"]
    decode = report["decode"]["latency"]["values"]
    assert found["decode_tokens_per_second"]["samples"] == pytest.approx([2 * 7 / v for v in decode]), "two sequences, seven tokens after the first"
    assert found["inter_token_latency_seconds"]["value"] == pytest.approx(median(decode) / 7)
    assert found["prefill_tokens_per_second"]["value"] == pytest.approx(median(32 / v for v in report["prefill"]["latency"]["values"]))
    assert found["generation_seconds"]["samples"] == report["generate"]["latency"]["values"]
    assert found["load_seconds"]["point"] == {}
    assert not {"peak_memory_bytes", "reserved_memory_bytes"} & set(found), "resident memory, polled, is no peak of ours"
    assert extras(record)["decode.memory.max_ram"] == report["decode"]["memory"]["max_ram"]
    assert record["environments"] and next(iter(record["environments"].values()))["packages"]["transformers"] == "4.57.6"


def test_optimum_benchmark_in_0_6_labels_tokens_as_samples_and_counts_tokens_again() -> None:
    """Why two of its numbers are left out: both can be seen in a file that it wrote."""
    report = data("optimum_benchmark.json")["report"]
    generate = report["generate"]
    assert generate["throughput"]["unit"] == "samples/s"
    assert generate["throughput"]["value"] * generate["latency"]["mean"] == pytest.approx(2 * 7), "the batch is 2"
    assert report["per_token"]["latency"]["count"] == 7 + 15 + 23 + 31, "four calls of eight tokens: each adds all intervals so far"
    left = details(read(content("optimum_benchmark.json")))["left_out"]
    assert [text.partition(":")[0] for text in left] == ["generate.throughput", "per_token.latency"]
    assert not [name for name in extras(read(content("optimum_benchmark.json"))) if name.startswith(("generate.throughput", "per_token"))]


def test_optimum_benchmark_on_a_gpu_has_torchs_own_peaks() -> None:
    record = read(content("optimum_benchmark_gpu.json"))
    found = {metric: m["value"] for (metric, _), m in numbers(record).items()}
    assert found["peak_memory_bytes"] == 4200.125e6 and found["reserved_memory_bytes"] == 4500e6 and found["load_peak_memory_bytes"] == 7500e6
    assert extras(record)["decode.memory.max_process_vram"] == 8200.0 and "decode.memory.max_allocated" not in extras(record)
    assert record["experiment"]["device"] == "NVIDIA A100-SXM4-80GB"
    configuration = details(record)["configuration"]
    assert configuration["backend.quantization_config.bnb_4bit_quant_type"] == "nf4" and configuration["launcher.name"] == "process"


def test_peaks_of_several_processes_are_a_sum_and_are_not_taken_over() -> None:
    changed = data("optimum_benchmark_gpu.json")
    changed["config"]["launcher"]["name"] = "torchrun"
    record = read(changed)
    assert not [metric for metric, _ in numbers(record) if METRICS[metric].kind == "memory"]
    assert extras(record)["decode.memory.max_allocated"] == 4200.125


def test_a_report_alone_has_no_model_and_no_lengths() -> None:
    record = read(content("optimum_benchmark_report.json"))
    found = {metric: m for (metric, _), m in numbers(record).items()}
    assert set(found) == {"ttft_seconds", "generation_seconds", "decode_tokens_per_second", "load_seconds"}
    assert found["ttft_seconds"]["point"] == {} and "not named in the file" in record["experiment"]["title"]


def test_lm_eval_takes_multiple_choice_over_and_leaves_other_scores_as_they_are() -> None:
    record = read(content("lm_eval.json"))
    found = numbers(record)
    assert set(found) == {("accuracy", "piqa"), ("accuracy_normalized", "piqa")}
    assert found["accuracy_normalized", "piqa"]["value"] == data("lm_eval.json")["results"]["piqa"]["acc_norm,none"] == 0.5
    assert found["accuracy", "piqa"]["point"] == {"dataset": "piqa", "examples": 12, "shots": 0} and found["accuracy", "piqa"]["n_samples"] == 12
    assert {"word_perplexity", "byte_perplexity", "bits_per_byte", "acc_norm_stderr"} <= set(extras(record)), "per word is not per token"
    assert record["runs"][0]["kind"] == "quality" and record["experiment"]["created_at"].endswith("Z")


def test_lm_eval_scores_of_groups_and_of_generated_text_are_extras() -> None:
    changed = data("lm_eval.json")
    changed["results"] |= {"mmlu": {"acc,none": 0.5, "acc_stderr,none": "N/A"}, "gsm8k": {"exact_match,strict-match": 0.25}}
    arguments = "pretrained=org/model,dtype=float16,token=hf_secret,base_url=http://inside"
    changed |= {"groups": {"mmlu": {}}, "config": changed["config"] | {"model_args": arguments}}
    changed["configs"] |= {"gsm8k": {"output_type": "generate_until"}, "mmlu": {"output_type": "multiple_choice"}}
    record = read(changed)
    assert extras(record)["acc"] == 0.5 and extras(record)["exact_match (strict-match)"] == 0.25
    assert {dataset for _, dataset in numbers(record)} == {"piqa"}
    assert record["experiment"]["spec"]["model"]["name"] == "org/model" and "hf_secret" not in json.dumps(record) and "inside" not in json.dumps(record)


def test_guidellm_has_a_point_for_each_load() -> None:
    record, first = read(content("guidellm.json")), data("guidellm.json")["benchmarks"][0]
    found = numbers(record)
    assert {load for _, load in found} == {"synchronous", "throughput", "constant"}
    ttft = found["ttft_seconds", "synchronous"]
    assert ttft["samples"] == pytest.approx([r["time_to_first_token_ms"] / 1e3 for r in first["requests"]["successful"]])
    assert ttft["point"] == {"load": "synchronous", "at once": 1, "prompt_tokens": 32, "new_tokens": 16}
    assert found["generation_seconds", "synchronous"]["value"] == pytest.approx(median(r["request_latency"] for r in first["requests"]["successful"]))
    assert ("decode_tokens_per_second", "synchronous") not in found, "its output tokens per second have the prefill in them"
    assert extras(record)["output_tokens_per_second mean"] > 0


def test_guidellm_without_its_requests_gives_the_reports_medians_but_no_weighted_one() -> None:
    changed = data("guidellm.json")
    for benchmark in changed["benchmarks"]:
        benchmark["requests"]["successful"] = benchmark["requests"]["successful"][:3]  # a sample of them
    record, metrics = read(changed), changed["benchmarks"][0]["metrics"]
    ttft = numbers(record)["ttft_seconds", "synchronous"]
    assert ttft["samples"] == [] and ttft["n_samples"] == 12
    assert ttft["value"] == pytest.approx(metrics["time_to_first_token_ms"]["successful"]["median"] / 1e3)
    assert ("inter_token_latency_seconds", "synchronous") not in numbers(record)
    assert "inter_token_latency_ms median" in extras(record)


def test_guidellm_says_what_did_not_succeed() -> None:
    changed = data("guidellm.json")
    changed["benchmarks"][1]["metrics"]["request_totals"] = {"successful": 0, "errored": 12, "incomplete": 0, "total": 12}
    record = read(changed)
    assert {load for _, load in numbers(record)} == {"synchronous", "constant"}
    assert details(record)["left_out"] == ["benchmarks[1]: no request succeeded"]


def test_guidellms_keys_are_not_kept() -> None:
    changed = data("guidellm.json")
    for backend in (changed["config"]["spec"]["backend"], changed["benchmarks"][0]["config"]["backend"]):
        backend |= {"api_key": "sk-secret", "extras": {"headers": {"Authorization": "sk-secret"}}}
    assert "sk-secret" not in json.dumps(read(changed))


@pytest.mark.parametrize(("name", "tool", "load"), [("aiperf.json", "AIPerf 0.13.0", 2), ("genai_perf.json", "genai-perf", 1)])
def test_aiperf_and_its_predecessor(name: str, tool: str, load: int) -> None:
    record, file = read(content(name)), data(name)
    found = {metric: m for (metric, _), m in numbers(record).items()}
    assert f"imported from {tool})" in record["experiment"]["title"]
    assert found["ttft_seconds"]["value"] == pytest.approx(file["time_to_first_token"]["p50"] / 1e3)
    assert found["inter_token_latency_seconds"]["value"] == pytest.approx(file["inter_token_latency"]["p50"] / 1e3)
    assert found["generation_seconds"]["value"] == pytest.approx(file["request_latency"]["p50"] / 1e3)
    assert found["ttft_seconds"]["point"]["at once"] == load and found["ttft_seconds"]["point"]["prompt_tokens"] == 32
    assert "decode_tokens_per_second" not in found and extras(record)["output_token_throughput avg"] == file["output_token_throughput"]["avg"]


def test_aiperf_that_did_not_finish_is_said_to_be_so() -> None:
    assert details(read(data("aiperf.json") | {"is_complete": False, "incomplete_reason": "stalled"}))["remark"] == "it did not finish: stalled"
    assert details(read(data("aiperf.json") | {"was_cancelled": True}))["remark"] == "it was cancelled"


def spoilt(name: str, *path: Any, value: Any = None) -> Any:
    """The file with one value replaced, or taken out."""
    changed = data(name)
    at = changed
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed


@pytest.mark.parametrize(("changed", "message"), [
    (spoilt("optimum_benchmark.json", "report", "prefill", "latency", "values", value=[0.1, "fast"]),
     "report.prefill.latency.values[1]: a number is expected, not text"),
    (spoilt("optimum_benchmark.json", "report", "prefill", "latency", "unit", value="ms"), "report.prefill.latency.unit: s is expected, not ms"),
    (spoilt("optimum_benchmark_gpu.json", "report", "decode", "memory", "unit", value="MiB"), "report.decode.memory.unit: MB is expected, not MiB"),
    (spoilt("optimum_benchmark.json", "config", "scenario", "input_shapes", "batch_size", value=1.5), "input_shapes.batch_size: a whole number"),
    (spoilt("lm_eval.json", "results", "piqa", "acc,none", value=17), "results.piqa.acc,none: a share from 0 to 1 is expected, not 17"),
    (spoilt("lm_eval.json", "n-samples", "piqa", "effective", value=True), "n-samples.piqa.effective: a number is expected, not true or false"),
    (spoilt("guidellm.json", "metadata", "version", value=3), "metadata.version: report schema 3 is not known here"),
    (spoilt("guidellm.json", "benchmarks", value=[]), "benchmarks: there is no benchmark in it"),
    (spoilt("guidellm.json", "benchmarks", 0, "metrics"), "benchmarks[0]: it has no 'metrics'"),
    (spoilt("guidellm.json", "benchmarks", 0, "requests", "successful", 2, "request_latency", value={}), "successful[2].request_latency: a number is expected"),
    (spoilt("aiperf.json", "time_to_first_token", "unit", value="minutes"), "time_to_first_token.unit: a unit of time is expected"),
    (spoilt("aiperf.json", "time_to_first_token", "p50", value=[1]), "time_to_first_token.p50: a number is expected, not a list"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_file_and_field(changed: Any, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        read(changed, "/home/me/a file.json")
    assert str(refused.value).startswith("a file.json: ") and message in str(refused.value)


@pytest.mark.parametrize(("given", "message"), [
    (b"", "it is not JSON"), (b"\xff\xfe", "it is not JSON"), (b'{"a": 1', "it is not JSON, or was cut off"), (b"[" * 50_000, "it is not JSON"),
    (b'{"metadata": {}}\n{"metadata": {}}', "one JSON object per line, import the summary beside it"),
    (b"[]", "no tool is known"), (b"{}", "no tool is known that writes such a file; known are optimum-benchmark"), (b"null", "no tool is known"),
    (b'{"experiments": [], "version": "1"}', "no tool is known"), (b'{"format": "llm-tradeoff-lab/1"}', "it is a bundle of this product"),
])  # fmt: skip
def test_other_files_are_refused(given: bytes, message: str) -> None:
    with pytest.raises(NotThisFormatError, match=f"^x.json: .*{message}"):
        read(given, "x.json")


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deep: Any = 1
    for _ in range(reading.MAX_DEPTH):
        deep = [deep]
    with pytest.raises(ValueError, match="nested more than 40 deep"):
        read(data("aiperf.json") | {"extra": deep})
    many = spoilt("optimum_benchmark.json", "report", "prefill", "latency", "values", value=[0.1] * (reading.MAX_ITEMS + 1))
    with pytest.raises(ValueError, match="report.prefill.latency.values: it has 20,001 items; 20,000 are read at most"):
        read(many)
    crowd = data("guidellm.json")
    crowd["benchmarks"] = [copy.deepcopy(crowd["benchmarks"][0]) for _ in range(900)]
    for number, benchmark in enumerate(crowd["benchmarks"]):
        benchmark["config"]["strategy"] = {"type_": "constant", "rate": number}
    with pytest.raises(ValueError, match="are read at most"):
        read(crowd)
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="are read at most"):
        read(content("aiperf.json"))


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    below = [leaf for key, value in pairs for leaf in leaves(value, (*path, key))]
    return [path, *below] if path else below


JUNK: list[Callable[[], Any]] = [lambda: None, lambda: -1, lambda: 1e308, lambda: "", lambda: "x" * 10_000, list, dict, lambda: [None], lambda: {"unit": 3},
                                 lambda: True, lambda: "\x00\n<b>", lambda: 2**70]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_file_ends_in_anything_but_a_record_or_a_sentence(name: str) -> None:
    """Any one value replaced by something that it never is."""
    chance = random.Random(7)
    original = data(name)
    places = leaves(original)
    for _ in range(100):
        changed = copy.deepcopy(original)
        path = chance.choice(places)
        at = changed
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = chance.choice(JUNK)()
        try:
            record = read(changed)
        except ValueError as error:
            assert len(str(error)) < 1_000 and "\n" not in str(error)
        else:
            json.dumps(record, allow_nan=False)
