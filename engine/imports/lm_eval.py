"""lm-evaluation-harness: results_*.json (0.4). One task is one point.

Taken over, because the definitions are the same (tests/benchmarks/compare_lm_eval.py holds the two side by side, item by item), of tasks
that are multiple choice and without a filter:
- acc -> accuracy: the share of the questions whose right answer has the highest log-likelihood.
- acc_norm -> accuracy_normalized: the same, per character.

Kept as extras under their own names: standard errors; exact_match and all that a filter cuts out of generated text, for a filter is
part of such a score; word_perplexity, byte_perplexity and bits_per_byte, which are per word and byte of the document, where perplexity
here is per token of the model; results of groups, which average over tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from engine.imports.imported import Extra, Imported, Number
from engine.imports.reading import Node, facts
from engine.measurement import Point

NAME = "lm-eval"
FILES = "results_*.json"
_TAKEN = {"acc": "accuracy", "acc_norm": "accuracy_normalized"}
_NO_FILTER = "none"
_MODEL_ARGUMENTS = ("pretrained", "model", "dtype", "revision", "peft", "load_in_8bit", "load_in_4bit", "quantization", "max_length",
                    "add_bos_token", "parallelize", "attn_implementation")  # fmt: skip
_GPU = re.compile(r"GPU \d+: ([^\n(]+)")


def recognizes(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("results"), dict) and ("n-shot" in data or "configs" in data or "lm_eval_version" in data)


def read(file: Node) -> Imported:
    arguments = _arguments(file)
    model = str(arguments.get("pretrained") or arguments.get("model") or _text(file, "model_name") or "not named in the file")
    date = file.get("date")
    found = Imported(
        NAME, _text(file, "lm_eval_version"), title=f"{model}, {', '.join(name for name, _ in file.at('results').items())}",
        variant=_variant(model, arguments), model=model, device=_device(file), created_at=_moment(date),
        environment=_environment(file), configuration=_configuration(file, arguments),
    )  # fmt: skip
    groups = {name for name, _ in (file.get("groups") or Node({}, file.file)).items()}
    for task, scores in file.at("results").items():
        point = _point(file, task)
        choice = _text(file.get("configs", task), "output_type") == "multiple_choice" and task not in groups
        for key, node in scores.items():
            _score(found, task, key, node, point, taken_over=choice)
    return found


def _score(found: Imported, task: str, key: str, node: Node, point: Point, *, taken_over: bool) -> None:
    name, _, rule = key.partition(",")
    if isinstance(node.data, str):
        if name not in ("alias", "name", "sample_len") and node.data != "N/A":
            found.left_out.append(f"{task} {key}: it is text, {node.text()[:40]!r}")
    elif not isinstance(node.data, int | float):
        found.left_out.append(f"{task} {key}: it is no number")
    elif taken_over and rule == _NO_FILTER and name in _TAKEN:
        value = node.number()
        if not 0 <= value <= 1:
            raise node.wrong(f"a share from 0 to 1 is expected, not {value:g}")
        examples = point.get("examples", 0)
        found.numbers.append(Number(_TAKEN[name], point, f"{name} of each multiple-choice task", value=value, n=int(examples)))
    elif name != "sample_len":
        found.extras.append(Extra(name if rule in ("", _NO_FILTER) else f"{name} ({rule})", node.number(), "", point))


def _point(file: Node, task: str) -> Point:
    point: Point = {"dataset": task}
    examples = file.get("n-samples", task, "effective")
    shots = file.get("n-shot", task)
    if examples is not None:
        point["examples"] = examples.whole()
    if shots is not None and isinstance(shots.data, int):
        point["shots"] = shots.whole()
    return point


def _arguments(file: Node) -> dict[str, Any]:
    """Of the model's arguments those that say which model it is; others may hold addresses and keys."""
    node = file.get("config", "model_args")
    if node is None:
        return {}
    if isinstance(node.data, str):
        pairs = (part.partition("=") for part in node.data.split(","))
        return {k.strip(): v.strip()[:200] for k, _, v in pairs if k.strip() in _MODEL_ARGUMENTS}
    return facts(node, _MODEL_ARGUMENTS)


def _variant(model: str, arguments: dict[str, Any]) -> str:
    parts = [str(arguments["dtype"])] if arguments.get("dtype") else []
    parts += [name for name in ("load_in_8bit", "load_in_4bit", "quantization") if arguments.get(name)]
    return " ".join([model, *parts])


def _device(file: Node) -> str:
    kind = _text(file.get("config"), "device") or "unknown"
    machine = _long_text(file, "pretty_env_info")
    gpu = _GPU.search(machine) if kind.startswith("cuda") else None
    return gpu[1].strip() if gpu else kind


def _environment(file: Node) -> dict[str, Any]:
    kind = (_text(file.get("config"), "device") or "").partition(":")[0]
    packages = {"transformers": _text(file, "transformers_version")}
    return {"device": _device(file), "device_kind": kind or "unknown", "packages": {k: v for k, v in packages.items() if v}}


def _configuration(file: Node, arguments: dict[str, Any]) -> dict[str, Any]:
    config = facts(file.get("config"), ("model", "batch_size", "device", "limit", "num_fewshot", "model_dtype", "model_sha", "model_num_parameters",
                                        "random_seed", "fewshot_seed"))  # fmt: skip
    return config | {f"model_args.{k}": v for k, v in arguments.items()} | {"versions": dict(_versions(file))}


def _versions(file: Node) -> Iterator[tuple[str, Any]]:
    for task, node in (file.get("versions") or Node({}, file.file)).items():
        yield task, node.data if isinstance(node.data, int | float) else str(node.data)[:20]


def _moment(node: Node | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(node.number(), UTC) if node is not None else None
    except (OverflowError, OSError, ValueError):
        return None


def _long_text(node: Node, name: str) -> str:
    found = node.get(name)
    return found.data[:20_000] if found is not None and isinstance(found.data, str) else ""


def _text(node: Node | None, name: str) -> str | None:
    found = node.get(name) if node is not None else None
    return found.text() if found is not None and isinstance(found.data, str) else None
