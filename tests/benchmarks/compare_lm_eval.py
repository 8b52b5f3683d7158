"""Is the accuracy of `multiple_choice` lm-evaluation-harness's own? The same model, float32, on the same questions, item by item.

The harness runs its own task file with its own scoring; only the questions come from our file in place of the hub. It wants an
environment of its own, which may see this one's torch and transformers:

    python -m venv --without-pip DIR
    .venv/bin/python -c 'import site; print(site.getsitepackages()[0])' > DIR/lib/python3.11/site-packages/core.pth
    .venv/bin/python -m pip install --no-deps --target DIR/lib/python3.11/site-packages lm-eval==0.4.13 datasets==5.2.0 dill multiprocess \\
        xxhash evaluate sacrebleu portalocker tabulate colorama lxml more_itertools sqlitedict pytablewriter DataProperty mbstrdecoder \\
        pathvalidate tabledata tcolorpy typepy regex
    .venv/bin/python -m engine.bundled smollm2-135m piqa

Usage: python -m tests.benchmarks.compare_lm_eval DIR/bin/python [--dataset piqa] [--examples 500] [--model smollm2-135m] [--json]
Exit code 1 where an accuracy differs by more than one standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine import settings
from engine.devices import find_device
from engine.executor import LocalExecutor
from engine.labelled import load_labelled
from engine.presets import parse_spec
from engine.run_spec import run_spec
from engine.specs import PlannedRun, RunKind
from experiments.workloads.harness_tasks import TASKS

Row = dict[str, Any]


def _choices(row: Row) -> Row:
    return {"text": row["choices"], "label": list("ABCDE"[: len(row["choices"])])}


HARNESS: dict[str, tuple[str, Callable[[Row], Row]]] = {
    "piqa": ("piqa/piqa.yaml", lambda r: {"goal": r["question"], "sol1": r["choices"][0], "sol2": r["choices"][1], "label": r["label"]}),
    "boolq": ("super_glue/boolq/default.yaml", lambda r: {k: r[k] for k in ("passage", "question", "label")}),
    "commonsense_qa": ("commonsense_qa/default.yaml",
                       lambda r: {"question": r["question"], "choices": _choices(r), "answerKey": "ABCDE"[r["label"]]}),
    "social_iqa": ("siqa/siqa.yaml", lambda r: {"context": r["passage"], "question": r["question"], "label": str(r["label"] + 1)}
                   | {f"answer{letter}": choice for letter, choice in zip("ABC", r["choices"], strict=True)}),
    "openbookqa": ("openbookqa/openbookqa.yaml",
                   lambda r: {"question_stem": r["question"], "choices": _choices(r), "answerKey": "ABCDE"[r["label"]]}),
    "logiqa": ("logiqa/logiqa.yaml",
               lambda r: {"context": r["passage"], "question": r["question"], "options": r["choices"], "label": "abcd"[r["label"]]}),
}  # fmt: skip
"""{set: (the harness's task file, our row as the fields that it reads)}."""

THEIRS = """
import json, pathlib, sys
import lm_eval
from lm_eval.tasks import TaskManager
folder, model, task_file, questions, out = sys.argv[1:]
task = {
    "include": str(pathlib.Path(lm_eval.__file__).parent / "tasks" / task_file), "task": "same_questions", "tag": None,
    "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": {"test": questions}},
    "training_split": None, "validation_split": None, "test_split": "test",
    "metric_list": [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in ("acc", "acc_norm")],
}
pathlib.Path(folder, "same_questions.yaml").write_text(json.dumps(task))
found = lm_eval.simple_evaluate(
    model="hf", model_args={"pretrained": model, "dtype": "float32"}, device="cpu", batch_size=1, bootstrap_iters=0,
    tasks=["same_questions"], task_manager=TaskManager(include_path=folder),
)
samples = sorted(found["samples"]["same_questions"], key=lambda s: s["doc_id"])
items = [{"acc": s["acc"], "acc_norm": s["acc_norm"], "scores": [r[0] for r in s["filtered_resps"]]} for s in samples]
pathlib.Path(out).write_text(json.dumps({"items": items, "version": lm_eval.__version__}))
"""


def theirs(python: str, model: Path, dataset: str, examples: int, folder: Path) -> Row:
    """{"items": [{"acc", "acc_norm", "scores"}], "version"} by the harness."""
    task_file, fields = HARNESS[dataset]
    questions, out = folder / "questions.json", folder / "theirs.json"
    rows = load_labelled(settings.texts_dir(), dataset, examples).rows
    questions.write_text("".join(json.dumps(fields(r)) + "\n" for r in rows))
    command = [python, "-c", THEIRS, str(folder), str(model), task_file, str(questions), str(out)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, check=True, cwd=folder, env=environment, stdout=sys.stderr)
    found: Row = json.loads(out.read_text())
    return found


def ours(model: str, dataset: str, examples: int, folder: Path) -> tuple[dict[str, list[float]], Any]:
    """({metric: right or wrong by question}, scores by question divided by the choices' lengths), by a quality run."""
    spec = parse_spec({
        "title": "compare", "model": model, "rounds": 1, "baseline": "float32", "variants": ["float32"],
        "workload": {"name": "multiple_choice", "options": {"dataset": dataset, "examples": examples}},
    })  # fmt: skip
    device, executor = find_device("cpu"), LocalExecutor()
    planned = run_spec(spec, PlannedRun(0, 0, RunKind.QUALITY), device).model_copy(update={"artifacts_dir": str(folder / "artifacts")})
    handle = executor.start(planned, folder / "run", device=device)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.2)
    if result.status != "succeeded":
        raise SystemExit(f"our run: {result.reason}")
    (scores,) = (folder / "artifacts").glob("*.npy")  # the baseline's scores, kept to compare others with
    return {m.metric: list(m.samples) for m in result.measurements}, np.load(scores)


def compare(python: str, model: str, dataset: str, examples: int) -> Row:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mine, normalized = ours(model, dataset, examples, folder)
        other = theirs(python, settings.bundled_models_dir() / model, dataset, examples, folder)
    rows = load_labelled(settings.texts_dir(), dataset, examples).rows
    pairs = zip(normalized, rows, other["items"], strict=True)
    apart = [abs(n * len(c) - s) for ns, row, item in pairs
             for n, c, s in zip(ns, TASKS[dataset].choices(row), item["scores"], strict=True)]  # fmt: skip
    found: Row = {"model": model, "dataset": dataset, "examples": examples, "lm_eval": other["version"],
                  "largest_difference_of_a_log_likelihood": float(max(apart))}  # fmt: skip
    for metric, name in (("accuracy", "acc"), ("accuracy_normalized", "acc_norm")):
        own, its = mine[metric], [float(item[name]) for item in other["items"]]
        share = sum(its) / examples
        found[name] = {
            "ours": sum(own) / examples, "theirs": share, "standard_error": math.sqrt(share * (1 - share) / (examples - 1)),
            "items_that_differ": sum(a != b for a, b in zip(own, its, strict=True)),
        }  # fmt: skip
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.compare_lm_eval", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("python", help="interpreter of the environment that has lm-eval")
    parser.add_argument("--dataset", default="piqa", choices=list(HARNESS))
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--model", default="smollm2-135m", help="a bundled language model")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = compare(asked.python, asked.model, asked.dataset, asked.examples)
    if asked.json:
        print(json.dumps(found))
    else:
        print(f"{found['model']}, {found['examples']} questions of {found['dataset']}, lm-eval {found['lm_eval']}")
        for name in ("acc", "acc_norm"):
            print("{0:9} ours {ours:.4f}  theirs {theirs:.4f} ± {standard_error:.4f}  {items_that_differ} items differ".format(name, **found[name]))
        print(f"log-likelihoods differ by at most {found['largest_difference_of_a_log_likelihood']:.2g}")
    return int(any(abs(found[n]["ours"] - found[n]["theirs"]) > found[n]["standard_error"] for n in ("acc", "acc_norm")))


if __name__ == "__main__":
    sys.exit(main())
