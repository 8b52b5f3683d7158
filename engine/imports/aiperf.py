"""AIPerf (profile_export_aiperf.json, schema 1.x) and its predecessor genai-perf (profile_export_genai_perf.json): one load, one point.

Taken over, because the definitions are the same, seen by a client: waiting in the server's queue and the network are in them, and the
point says the load. The value is the median, p50; the files hold no single requests.
- time_to_first_token -> ttft_seconds: first response - start of the request.
- inter_token_latency -> inter_token_latency_seconds: (request latency - time to first token) / (output tokens - 1), per request.
- request_latency -> generation_seconds.

Everything else is an extra under its own name: output_token_throughput divides by the duration of the whole benchmark, prefill and
waiting included, and so is no decode throughput. Percentiles beyond p50, p90 and p99 are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from engine.imports.imported import Extra, Imported, Number
from engine.imports.reading import Node, facts
from engine.measurement import Point

NAME = "AIPerf"
FILES = "profile_export_aiperf.json, profile_export_genai_perf.json"
_TAKEN = {"time_to_first_token": "ttft_seconds", "inter_token_latency": "inter_token_latency_seconds", "request_latency": "generation_seconds"}
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_STATISTICS = ("avg", "p50", "p90", "p99", "std")


def recognizes(data: Any) -> bool:
    return isinstance(data, dict) and any(_is_metric(data.get(name)) for name in ("request_latency", "request_throughput"))


def read(file: Node) -> Imported:
    version = file.get("aiperf_version")
    name = NAME if version is not None or file.get("schema_version") is not None else "genai-perf"
    model = _model(file)
    found = Imported(
        name, version.text() if version is not None else None, title=f"{model}, served", variant=f"{model}, served", model=model,
        device=_gpus(file) or "behind a server", configuration=_configuration(file), created_at=_moment(file.get("start_time")),
        remark=_incomplete(file),
    )  # fmt: skip
    point = _point(file)
    for metric, node in file.items():
        if not _is_metric(node.data):
            continue
        ours = _TAKEN.get(metric)
        if ours is not None and (value := node.get("p50")) is not None:
            count = node.get("count") or file.get("request_count", "avg")
            found.numbers.append(
                Number(ours, point, f"{metric} (p50)", value=value.number() * _factor(node), n=count.whole() if count is not None else 0)
            )
        found.extras += _extras(node, metric, point, skip="p50" if ours else None)
    return found


def _extras(node: Node, metric: str, point: Point, skip: str | None) -> Iterator[Extra]:
    unit = node.at("unit").text()
    for statistic in _STATISTICS:
        value = node.get(statistic)
        if value is not None and statistic != skip:
            yield Extra(f"{metric} {statistic}", value.number(), unit, point)


def _factor(node: Node) -> float:
    unit = node.at("unit").text()
    if unit not in _SECONDS:
        raise node.at("unit").wrong(f"a unit of time is expected ({', '.join(_SECONDS)}), not {unit!r}")
    return _SECONDS[unit]


def _point(file: Node) -> Point:
    """The load as the input configuration says it, and the mean lengths of what was really sent and answered."""
    phases = file.get("input_config", "phases")
    settings = phases.list()[-1] if phases is not None and isinstance(phases.data, list) and phases.data else file.get("input_config")
    point: Point = {"load": "served"}
    for names, ours in ((("concurrency",), "at once"), (("rate", "request_rate"), "requests/s")):
        value = next((v for name in names if settings is not None and (v := settings.get(name)) is not None), None)
        if value is None and settings is not None:  # genai-perf nests it: perf_analyzer.stimulus.concurrency
            value = settings.get("perf_analyzer", "stimulus", names[-1])
        if value is not None and isinstance(value.data, int | float):
            point[ours] = round(value.number(), 3)
    for name, length in (("input_sequence_length", "prompt_tokens"), ("output_sequence_length", "new_tokens")):
        mean = file.get(name, "avg")
        if mean is not None:
            point[length] = round(mean.number(), 1)
    return {k: int(v) if isinstance(v, float) and v == int(v) else v for k, v in point.items()}


def _model(file: Node) -> str:
    models = file.get("input_config", "models", "items")
    if models is not None and isinstance(models.data, list) and models.data:
        return models.list()[0].at("name").text()
    named = file.get("input_config", "model_names") or file.get("input_config", "model")
    if named is not None and isinstance(named.data, list) and named.data:
        return named.list()[0].text()
    return named.text() if named is not None and isinstance(named.data, str) else "not named in the file"


def _configuration(file: Node) -> dict[str, Any]:
    config = file.get("input_config")
    if config is None:
        return {}
    found = {f"endpoint.{k}": v for k, v in facts(config.get("endpoint"), ("type", "streaming")).items()}
    for part in ("phases", "datasets"):
        node = config.get(part)
        if node is not None and isinstance(node.data, list):
            for i, inner in enumerate(node.list()[:5]):
                found |= {f"{part}[{i}].{k}": v for k, v in facts(inner).items()}
    return found | facts(config, ("concurrency", "request_rate", "streaming", "model"))


def _gpus(file: Node) -> str | None:
    """The names of the GPUs that were watched, from the telemetry."""
    names = [
        gpu.at("gpu_name").text()
        for _, endpoint in (file.get("telemetry_data", "endpoints") or Node({}, file.file)).items()
        for _, gpu in (endpoint.get("gpus") or Node({}, file.file)).items()
    ]  # fmt: skip
    return f"{names[0]} x {len(names)}" if len(names) > 1 else names[0] if names else None


def _incomplete(file: Node) -> str | None:
    if (done := file.get("is_complete")) is not None and done.data is False:
        reason = file.get("incomplete_reason")
        return f"it did not finish: {reason.text()}" if reason is not None else "it did not finish"
    cancelled = file.get("was_cancelled")
    return "it was cancelled" if cancelled is not None and cancelled.data is True else None


def _moment(node: Node | None) -> datetime | None:
    """AIPerf writes the clock of its machine without a zone; it is taken for UTC."""
    try:
        moment = datetime.fromisoformat(node.text()) if node is not None else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _is_metric(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("unit"), str)
