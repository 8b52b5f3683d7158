"""GuideLLM: benchmarks.json, report schema 2 (0.8). One benchmark of it, one load on the server, is one point.

Taken over, because the definitions are the same, seen by a client: waiting in the server's queue and the network are in them, and the
point says the load.
- time_to_first_token_ms of successful requests -> ttft_seconds: from the start of the request to the first token.
- inter_token_latency_ms -> inter_token_latency_seconds: (last - first token) / (tokens - 1), from the requests themselves. Without them
  it is an extra, for the report weighs its median by tokens.
- request_latency (seconds) -> generation_seconds.

Where the file has all requests their values are the samples, else the report's median is the value. Everything else is an extra under
its own name: output_tokens_per_second is of all requests together, prefill included, and so is no decode throughput.
time_per_output_token_ms counts the first token in.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from engine.imports.imported import Extra, Imported, Number
from engine.imports.reading import Node, facts
from engine.measurement import Point

NAME = "GuideLLM"
FILES = "benchmarks.json"
_SCHEMA = 2
_SHOWN = ("requests_per_second", "request_concurrency", "request_latency", "time_to_first_token_ms", "time_per_output_token_ms",
          "inter_token_latency_ms", "output_tokens_per_second", "tokens_per_second", "prompt_token_count", "output_token_count")  # fmt: skip
_UNITS = {"requests_per_second": "requests/s", "request_latency": "s", "output_tokens_per_second": "tok/s", "tokens_per_second": "tok/s",
          "request_concurrency": "requests", "prompt_token_count": "tokens", "output_token_count": "tokens"}  # fmt: skip
_MILLI = 1e-3


def recognizes(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("benchmarks"), list) and isinstance(data.get("metadata"), dict)


def read(file: Node) -> Imported:
    schema = file.at("metadata", "version")
    if schema.data != _SCHEMA:
        raise schema.wrong(f"report schema {schema.data!r} is not known here; {_SCHEMA} is, which GuideLLM 0.8 writes")
    benchmarks = file.at("benchmarks").list()
    if not benchmarks:
        raise file.at("benchmarks").wrong("there is no benchmark in it")
    version = file.get("metadata", "guidellm_version")
    backend = benchmarks[0].get("config", "backend")
    model = _text(backend, "model") or _text(file.get("config", "spec", "tokenizer"), "model") or "not named in the file"
    data = file.get("config", "spec", "data")
    shape = data.list()[0] if data is not None and isinstance(data.data, list) and data.data else None
    found = Imported(
        NAME, version.text() if version else None, title=f"{model}, served", variant=f"{model}, served", model=model,
        device="behind a server", configuration=_configuration(file, backend, shape),
        created_at=_moment(benchmarks[0].get("start_time")),
    )  # fmt: skip
    taken: set[str] = set()
    for benchmark in benchmarks:
        point = _point(benchmark, shape)
        label = str(sorted(point.items()))
        if label in taken:
            found.left_out.append(f"{benchmark.path}: another benchmark of the same load comes before it")
            continue
        taken.add(label)
        _one(benchmark, point, found)
    return found


def _one(benchmark: Node, point: Point, found: Imported) -> None:
    counts = benchmark.at("metrics", "request_totals")
    successful = counts.at("successful").whole()
    found.extras += [Extra(f"requests {name}", node.number(), "requests", point) for name, node in counts.items() if name != "total"]
    if successful == 0:
        found.left_out.append(f"{benchmark.path}: no request succeeded")
        return
    found.numbers += _numbers(benchmark, point, successful)
    taken = {n.origin.partition(" ")[0] for n in found.numbers if n.point == point}
    for name in _SHOWN:
        summary = benchmark.get("metrics", name, "successful")
        if summary is not None:
            found.extras += _summary(summary, name, point, skip_median=name in taken)


def _numbers(benchmark: Node, point: Point, successful: int) -> Iterator[Number]:
    for name, metric, factor, weighed in (
        ("time_to_first_token_ms", "ttft_seconds", _MILLI, False), ("inter_token_latency_ms", "inter_token_latency_seconds", _MILLI, True),
        ("request_latency", "generation_seconds", 1.0, False),
    ):  # fmt: skip
        summary = benchmark.get("metrics", name, "successful")
        if summary is None or summary.at("count").number() == 0:
            continue
        samples = _of_requests(benchmark, name, successful)
        if samples:
            yield Number(metric, point, f"{name} of every successful request", tuple(v * factor for v in samples))
        elif not weighed:
            yield Number(metric, point, f"{name} (the report's median)", value=summary.at("median").number() * factor, n=successful)


def _of_requests(benchmark: Node, name: str, successful: int) -> tuple[float, ...]:
    """The value of each successful request; nothing where the file holds only some of them, or one has none."""
    requests = benchmark.get("requests", "successful")
    nodes = requests.list() if requests is not None and isinstance(requests.data, list) else []
    values = [node.get(name) for node in nodes]
    return tuple(v.number() for v in values if v is not None) if len(nodes) == successful and all(values) else ()


def _summary(summary: Node, name: str, point: Point, *, skip_median: bool) -> Iterator[Extra]:
    unit = _UNITS.get(name, "ms" if name.endswith("_ms") else "")
    for statistic in ("mean", "median", "std_dev"):
        value = summary.get(statistic)
        if value is not None and not (statistic == "median" and skip_median):
            yield Extra(f"{name} {statistic}", value.number(), unit, point)
    for percentile in ("p90", "p99"):
        value = summary.get("percentiles", percentile)
        if value is not None:
            yield Extra(f"{name} {percentile}", value.number(), unit, point)


def _point(benchmark: Node, shape: Node | None) -> Point:
    """The load, and the lengths asked for where all requests have the same."""
    strategy = benchmark.at("config", "strategy")
    point: Point = {"load": strategy.at("type_").text()}
    for name in ("streams", "max_concurrency", "rate"):
        value = strategy.get(name)
        if value is not None and isinstance(value.data, int | float):
            point["at once" if name != "rate" else "requests/s"] = round(value.number(), 3)
    for name, ours in (("prompt_tokens", "prompt_tokens"), ("output_tokens", "new_tokens")):
        value = shape.get(name) if shape is not None else None
        if value is not None and shape is not None and shape.get(f"{name}_stdev") is None:
            point[ours] = value.whole()
    return {k: int(v) if isinstance(v, float) and v == int(v) else v for k, v in point.items()}


def _configuration(file: Node, backend: Node | None, shape: Node | None) -> dict[str, Any]:
    parts = {
        "backend": facts(backend, ("kind", "model", "request_format", "stream", "max_tokens")), "profile": facts(file.get("config", "spec", "profile")),
        "data": facts(shape), "tokenizer": facts(file.get("config", "spec", "tokenizer"), ("kind", "model")),
    }  # fmt: skip
    return {f"{part}.{name}": value for part, found in parts.items() for name, value in found.items()}


def _moment(node: Node | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(node.number(), UTC) if node is not None else None
    except (OverflowError, OSError, ValueError):
        return None


def _text(node: Node | None, name: str) -> str | None:
    found = node.get(name) if node is not None else None
    return (found.text() or None) if found is not None and isinstance(found.data, str) else None
