"""Fills a database with many experiments at once, for tests and benchmarks of pages: specs that this version reads, runs that ended in
every way, measurements with samples. The same arguments give the same rows. Only for an empty SQLite database.

Usage: LAB_DATA=/tmp/seeded python -m tests.seeding [--experiments 5000] [--variants 10] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Engine, insert, text

from db.session import connect, migrate
from db.tables import Base, Environment, Experiment, ExperimentTag, ExperimentTechnique, Measurement, Run, Variant
from engine import settings
from engine.specs import ExperimentSpec

MODELS = ("smollm2-135m", "llama-7b", "llama-13b", "tiny-llama", "gpt2")
STACKS = ("bfloat16", "float16", "bnb_int8", "bnb_4bit", "bnb_4bit(double_quant=true)", "torchao_int8_weight_only", "attention(implementation=sdpa)",
          "attention(implementation=eager)", "torch_compile", "torch_dynamic_int8", "torchao_int4_weight_only")  # fmt: skip
HARDWARE = ("NVIDIA H200", "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "AMD EPYC")
OWNERS = ("ada", "barbara", "edsger", "grace", "ken", "margaret", None)
TAGS = ("baseline hunt", "int8", "nf4", "paper", "release 7", "regression", "to discuss", "weekly")
NEWEST = datetime(2026, 10, 1, 12)
_POINT = {"batch": 1, "prompt_tokens": 128, "new_tokens": 64}
_TEXT = {"text": "wikitext2-test", "tokens": 4096, "context": 1024}
_AT_ONCE = 100


def seed(db: Engine, experiments: int = 5000, variants: int = 10, rounds: int = 3) -> None:
    """Newest first by id: seeded-00000, seeded-00001, ...; one of twenty is archived, the newest ones run and wait."""
    assert db.dialect.name == "sqlite" and 1 <= variants <= len(STACKS) + 1
    chance, runs = random.Random(7), count(1)
    environments = [{"id": f"{i:064x}", "facts": {"device": name, "machine": f"vm-{i}"}} for i, name in enumerate(HARDWARE)]
    with db.begin() as connection:
        connection.execute(insert(Environment), environments)
    for first in range(0, experiments, _AT_ONCE):
        tables: dict[type[Base], list[dict[str, Any]]] = {
            t: [] for t in (Experiment, ExperimentTag, ExperimentTechnique, Variant, Run, Measurement)
        }
        for number in range(first, min(first + _AT_ONCE, experiments)):
            _experiment(number, variants, rounds, chance, runs, tables)
        with db.begin() as connection:
            for table, rows in tables.items():
                if rows:
                    connection.execute(insert(table), rows)
    with db.begin() as connection:
        connection.execute(text("ANALYZE"))


def _experiment(
    number: int, variants: int, rounds: int, chance: random.Random, run_ids: Iterator[int], tables: dict[type[Base], list[dict[str, Any]]]
) -> None:
    model, place = chance.choice(MODELS), chance.randrange(len(HARDWARE))
    stacks = sorted(chance.sample(STACKS, variants - 1), key=STACKS.index)
    spec = _spec(model, tuple(stacks), rounds) | {"title": f"{model}, {stacks[0] if stacks else 'alone'}, study {number}"}
    id_, device = f"seeded-{number:05}", "cpu" if HARDWARE[place].startswith("AMD") else "cuda"
    created = NEWEST - timedelta(minutes=37 * number)
    tables[Experiment].append({
        "id": id_, "title": spec["title"], "spec": spec, "source": ("local", "local", "local", "imported")[number % 4], "device": device,
        "bound_device": f"vm-{place}/{device}", "request_key": id_, "created_at": created, "stored_at": created, "model": model,
        "workload": "generation", "hardware": HARDWARE[place], "owner": chance.choice(OWNERS), "archived": number % 20 == 19, "edits": 0,
        "note": "Repeats the measurement of last week." if number % 10 == 0 else "",
    })  # fmt: skip
    tables[ExperimentTag] += [{"experiment_id": id_, "tag": tag} for tag in chance.sample(TAGS, number % 3)]
    used = {t["technique"] for v in spec["variants"] for t in v["stack"]}
    tables[ExperimentTechnique] += [{"experiment_id": id_, "technique": name} for name in sorted(used)]
    for position, variant in enumerate(spec["variants"]):
        row = number * variants + position + 1
        tables[Variant].append({"id": row, "experiment_id": id_, "position": position, "baseline": position == 0, **variant})
        bad = chance.random()
        for kind, round_ in [*(("speed", r) for r in range(rounds)), ("quality", 0)]:
            status = _status(number, bad, round_ == rounds - 1)
            run = {"id": next(run_ids), "experiment_id": id_, "variant_id": row, "kind": kind, "round": round_, "status": status}
            tables[Run].append(run | _outcome(status, f"{place:064x}", created))
            if status == "succeeded":
                tables[Measurement] += _measured(run["id"], kind, position, chance)


_specs: dict[Any, str] = {}


def _spec(model: str, stacks: tuple[str, ...], rounds: int) -> dict[str, Any]:
    """As this version writes it; checking a spec takes a while, so that one combination is checked once."""
    if (key := (model, stacks, rounds)) not in _specs:
        written = {"title": "t", "model": model, "rounds": rounds, "variants": [{"name": s, "stack": [s]} for s in stacks]}
        _specs[key] = ExperimentSpec.model_validate(written).model_dump_json()
    return dict(json.loads(_specs[key]))


def _status(number: int, bad: float, last_round: bool) -> str:
    if number < 3:
        return "queued" if last_round or number else "succeeded"
    return "out_of_memory" if bad < 0.04 else "failed" if bad < 0.05 else "unsupported" if bad < 0.06 else "succeeded"


def _outcome(status: str, environment: str, at: datetime) -> dict[str, Any]:
    ended = status != "queued"
    return {
        "reason": None if status in ("succeeded", "queued") else f"{status} in a seeded run", "attempt": int(ended), "beat": 0, "cancel": False,
        "evidence": {}, "details": {}, "environment_id": environment if ended else None, "log_tail": "loading\n" * 20 if ended else None,
        "started_at": at if ended else None, "ended_at": at if ended else None, "seconds": 12.5 if ended else None,
    }  # fmt: skip


def _measured(run_id: int, kind: str, position: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """A speed run: faster and smaller with the position, 1 % of noise. A quality run: a little worse with it."""
    noise = 1 + chance.gauss(0, 0.01)
    if kind == "quality":
        samples = [20 + 0.1 * position + i * 0.3 for i in range(32)]
        yield _measurement(run_id, "perplexity", _TEXT, sum(samples) / 32, samples)
        return
    for name, value in (("weight_bytes", 4e9 / (1 + position)), ("load_seconds", 2 * noise)):
        yield _measurement(run_id, name, {}, value, [value])
    base = {"ttft_seconds": 0.2 / (1 + position / 5), "inter_token_latency_seconds": 0.03 / (1 + position / 5),
            "decode_tokens_per_second": 33 * (1 + position / 5), "peak_memory_bytes": 6e9 / (1 + position / 2)}  # fmt: skip
    for name, value in base.items():
        samples = [value * noise * (1 + i / 500) for i in range(5)]
        yield _measurement(run_id, name, _POINT, samples[2], samples)


def _measurement(run_id: int, metric: str, point: dict[str, Any], value: float, samples: list[float]) -> dict[str, Any]:
    return {"run_id": run_id, "metric": metric, "point": point, "status": "succeeded", "reason": None, "value": value,
            "n_samples": len(samples), "samples": samples, "warmups": samples[:1]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in (("experiments", 5000), ("variants", 10), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    started = time.perf_counter()
    db = connect(settings.database_url())
    migrate(db)
    seed(db, options.experiments, options.variants, options.rounds)
    print(f"{settings.database_url()}: {options.experiments} experiments x {options.variants} variants in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
