"""optimum-benchmark 0.6: benchmark.json (configuration and report) and benchmark_report.json (the report alone).

Taken over, because the definitions are the same:
- prefill.latency.values -> ttft_seconds: from the call to the first new token.
- decode.latency.values -> inter_token_latency_seconds, divided by the new tokens after the first; and decode_tokens_per_second, the
  tokens of the whole batch after the first (throughput x mean latency is that number) divided by each value.
- prefill.latency.values -> prefill_tokens_per_second, where the configuration says how many prompt tokens there were.
- generate.latency.values -> generation_seconds: one call of the whole batch.
- forward.latency.values -> forward_seconds, seconds_per_example, examples_per_second.
- load_model.latency -> load_seconds.
- memory.max_allocated, max_reserved (MB are 10^6 bytes) of the decode or forward pass, and of load_model: torch's own peaks, where one
  process ran: of several it writes their sum.

Not the same, so kept as extras: max_ram and VRAM, which a process polls every 10 ms; energy, which is the whole machine's. Left out:
generate.throughput, whose samples/s are tokens/s; per_token, which counts all tokens so far again with every call; throughput of training,
which divides the work of all steps by the time of one. Seen in 0.6.0's source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.imports.imported import Extra, Imported, Number
from engine.imports.reading import Node, facts
from engine.measurement import Point

NAME = "optimum-benchmark"
FILES = "benchmark.json, benchmark_report.json"
_TARGETS = ("load_model", "first_generate", "generate", "prefill", "decode", "per_token", "first_forward", "forward", "first_call", "call",
            "per_step", "overall", "warmup", "train")  # fmt: skip
_PARTS = {"latency", "throughput", "memory", "energy", "efficiency"}
_MEGABYTE = 1e6
_LEFT_OUT = {
    ("generate", "throughput"): "generate.throughput: its samples/s are tokens/s",
    ("per_token", "latency"): "per_token.latency: with every call all tokens so far are counted again, and the time between calls",
    **{(t, "throughput"): f"{t}.throughput: it divides the work of all steps by the time of one" for t in ("overall", "warmup", "train")},
}  # fmt: skip


def recognizes(data: Any) -> bool:
    report = data.get("report") if isinstance(data, dict) and isinstance(data.get("config"), dict) else data
    return isinstance(report, dict) and any(isinstance(report.get(t), dict) and set(report[t]) >= _PARTS for t in _TARGETS)


def read(file: Node) -> Imported:
    config = file.get("config")
    report = file.at("report") if config is not None else file
    backend, scenario = (config.get(name) if config else None for name in ("backend", "scenario"))
    environment = config.get("environment") if config else None
    model = _text(backend, "model") or "not named in the file"
    name = _text(config, "name") or "report"
    device, facts_of_it = _device(backend, environment)
    found = Imported(
        NAME, _text(environment, "optimum_benchmark_version"), title=f"{model}, {name}", variant=name, model=model, device=device,
        environment=facts_of_it, configuration=_configuration(config),
    )  # fmt: skip
    point = _point(report, scenario)
    alone = _text(config.get("launcher") if config else None, "name") in ("process", "inline")
    found.numbers = [*_times(report, point), *(_memory(report, point) if alone else ())]
    taken = {n.origin.partition(" ")[0] for n in found.numbers}
    for target, node in report.items():
        for part, inner in node.items() if target in _TARGETS else ():
            if (why := _LEFT_OUT.get((target, part))) is not None:
                found.left_out.append(why)
            else:
                found.extras += _extras(inner, f"{target}.{part}", point, taken)
    return found


def _times(report: Node, point: Point) -> Iterator[Number]:
    loading = report.get("load_model", "latency", "values")
    if loading is not None:
        yield Number("load_seconds", {}, "load_model.latency.values", loading.numbers())
    for target, metric in (("prefill", "ttft_seconds"), ("generate", "generation_seconds"), ("forward", "forward_seconds")):
        if values := _values(report, target):
            yield Number(metric, point, f"{target}.latency.values", values)
    prefill, forward, decode = (_values(report, target) for target in ("prefill", "forward", "decode"))
    batch, prompt = point.get("batch"), point.get("prompt_tokens")
    if prefill and isinstance(batch, int) and isinstance(prompt, int) and min(prefill) > 0:
        yield Number("prefill_tokens_per_second", point, "prefill.latency.values (batch x prompt tokens / each)", tuple(batch * prompt / v for v in prefill))
    if forward and isinstance(batch, int) and min(forward) > 0:
        yield Number("seconds_per_example", point, "forward.latency.values (each / batch)", tuple(v / batch for v in forward))
        yield Number("examples_per_second", point, "forward.latency.values (batch / each)", tuple(batch / v for v in forward))
    tokens = _decoded(report)
    if decode and tokens and min(decode) > 0:
        yield Number("decode_tokens_per_second", point, "decode.latency.values (tokens after the first / each)", tuple(tokens / v for v in decode))
        if isinstance(batch, int) and tokens % batch == 0:
            each = tokens // batch
            yield Number("inter_token_latency_seconds", point, "decode.latency.values (each / tokens of a sequence after the first)",
                         tuple(v / each for v in decode))  # fmt: skip


def _memory(report: Node, point: Point) -> Iterator[Number]:
    call = "decode" if report.get("decode", "memory") is not None else "forward"
    wanted: tuple[tuple[str, str, str, Point], ...] = (
        (call, "max_allocated", "peak_memory_bytes", point), (call, "max_reserved", "reserved_memory_bytes", point),
        ("load_model", "max_allocated", "load_peak_memory_bytes", {}),
    )  # fmt: skip
    for target, name, metric, at in wanted:
        node = report.get(target, "memory", name)
        if node is None:
            continue
        if (unit := report.at(target, "memory", "unit")).text() != "MB":
            raise unit.wrong(f"MB is expected, not {unit.text()}")
        yield Number(metric, at, f"{target}.memory.{name}", value=node.number() * _MEGABYTE, n=1)


def _values(report: Node, target: str) -> tuple[float, ...]:
    node = report.get(target, "latency", "values")
    if node is None:
        return ()
    if (unit := report.at(target, "latency", "unit")).text() != "s":
        raise unit.wrong(f"s is expected, not {unit.text()}")
    return node.numbers()


def _decoded(report: Node) -> int | None:
    """Tokens of a whole call after the first ones: what was divided by the mean latency to make the throughput."""
    throughput, mean = report.get("decode", "throughput"), report.get("decode", "latency", "mean")
    if throughput is None or mean is None or throughput.at("unit").text() != "tokens/s":
        return None
    tokens = throughput.at("value").number() * mean.number()
    return round(tokens) if tokens >= 1 and abs(tokens - round(tokens)) < 1e-3 * tokens else None


def _point(report: Node, scenario: Node | None) -> Point:
    shapes = scenario.get("input_shapes") if scenario else None
    batch = shapes.get("batch_size") if shapes else None
    prompt = shapes.get("sequence_length") if shapes else None
    point: Point = {}
    if batch is not None:
        point["batch"] = batch.whole()
    if prompt is not None:
        point["prompt_tokens"] = prompt.whole()
    tokens = _decoded(report)
    if tokens and batch is not None and tokens % batch.whole() == 0:
        point["new_tokens"] = tokens // batch.whole() + 1
    return point


def _extras(part: Node, name: str, point: Point, taken: set[str]) -> Iterator[Extra]:
    unit = _text(part, "unit") or ""
    for key, node in part.items():
        if key in ("unit", "values", "count", "total") or f"{name}.{key}" in taken:
            continue
        yield Extra(f"{name}.{key}", node.number(), "%" if key == "stdev_" else unit, point)


def _device(backend: Node | None, environment: Node | None) -> tuple[str, dict[str, Any]]:
    kind = _text(backend, "device") or "unknown"
    gpus = environment.get("gpu") if environment else None
    first = gpus.list()[0].text() if gpus is not None and isinstance(gpus.data, list) and gpus.data else None
    cpu = _text(environment, "cpu")
    name = (first if kind == "cuda" else cpu) or kind
    packages = {p: v for p in ("transformers", "accelerate", "peft") if (v := _text(environment, f"{p}_version"))}
    if version := _text(backend, "version"):
        packages["torch" if _text(backend, "name") == "pytorch" else str(_text(backend, "name"))] = version
    return name, {"device": name, "device_kind": kind, "cpu": cpu, "python": _text(environment, "python_version"), "packages": packages}


def _configuration(config: Node | None) -> dict[str, Any]:
    if config is None:
        return {}
    parts = {name: facts(config.get(name)) for name in ("backend", "scenario")} | {"launcher": facts(config.get("launcher"), ("name",))}
    return {f"{part}.{name}": value for part, found in parts.items() for name, value in found.items() if not name.startswith("_")}


def _text(node: Node | None, name: str) -> str | None:
    found = node.get(name) if node is not None else None
    return found.text() if found is not None and isinstance(found.data, str) else None
