"""Runs in the onnx environment: loads the tiny model by each technique in question and prints what it finds, as JSON.

Usage: python -m tests.experiments.onnx_child ROOT ARTIFACTS. ROOT holds the models `tiny` and `encoder` (BERT, two labels).
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

from engine.devices import find_device
from engine.loading import NotAppliedError, collect_evidence, load_session, weight_bytes
from engine.memory import cache_bytes
from engine.modelspec import Head, ModelSpec
from engine.profiler import profile_call
from engine.registry import discover
from engine.technique import Session, Technique
from experiments.runtime import onnx_files
from experiments.runtime.onnx_files import OnnxLoader

IDS = torch.tensor([[2, 40, 41, 42, 50, 60, 61, 7]])
TOKENS = 16
FOR = {Head.CLASSIFIER: "classification", Head.ENCODER: "encoder_forward"}


def load(root: Path, artifacts: Path, *stack: Technique) -> Session:
    return load_session(ModelSpec(source="local", name="tiny"), stack, find_device("cpu"), 0, root, root, root, artifacts=artifacts)


def encoder_outputs(root: Path, artifacts: Path, head: Head, *stack: Technique) -> dict[str, Any]:
    """What the model gives for one sequence, its evidence, and its class."""
    model = ModelSpec(source="local", name="encoder")
    session = load_session(model, stack, find_device("cpu"), 0, root, root, root, discover().workload(FOR[head]), artifacts)
    evidence = collect_evidence(session, stack)
    with torch.inference_mode():
        out = session.model(input_ids=IDS, attention_mask=torch.ones_like(IDS))
    logits = out.logits if head is Head.CLASSIFIER else out.last_hidden_state
    return {"logits": logits.tolist(), "class": type(session.model).__name__, "evidence": list(evidence)}


def outputs(session: Session) -> dict[str, Any]:
    mask = torch.ones_like(IDS)
    with torch.inference_mode():
        logits = session.model(IDS, attention_mask=mask, use_cache=False).logits
        out = session.model.generate(
            IDS, attention_mask=mask, do_sample=False, min_new_tokens=TOKENS, max_new_tokens=TOKENS, pad_token_id=0,
            return_dict_in_generate=True,
        )  # fmt: skip
    return {"logits": logits.tolist(), "tokens": out.sequences.tolist(), "cache_bytes": cache_bytes(out.past_key_values)}


def sabotages(technique: Technique) -> dict[str, Technique]:
    """The technique without its effect, and int8 with another graph than its own."""
    prepares: dict[str, Any] = {"nothing": lambda self, plan: plan}
    if technique.name == "onnxruntime_int8":
        prepares["float32 graph"] = lambda self, plan: plan.evolve(loader=OnnxLoader("auto"))
        prepares["other scales"] = lambda self, plan: plan.evolve(loader=OnnxLoader("auto", True))
    return {how: type("Sabotaged", (type(technique),), {"prepare": p, "__module__": __name__})() for how, p in prepares.items()}


def shown(session: Session, technique: Technique) -> str | dict[str, Any]:
    try:
        facts: dict[str, Any] = collect_evidence(session, [technique])[technique.name]["facts"]
    except NotAppliedError as error:
        return str(error)
    return facts


def profiled(root: Path, artifacts: Path, technique: Technique) -> dict[str, Any]:
    """A profile of a generation, as the worker makes it."""
    workload = discover().workload("generation", {"prompt_tokens": 16, "new_tokens": 4})
    session = load_session(ModelSpec(source="local", name="tiny"), [technique], find_device("cpu"), 0, root, root, root, workload, artifacts)
    collect_evidence(session, [technique])
    step = workload.profiled(session)
    assert step is not None
    return profile_call(step.call, step.what, "cpu", artifacts, sees_operators=session.plan.loader is None).model_dump(mode="json")


def in_this_process(order: dict[str, Any]) -> None:
    """Makes a file without a new process, which waits for all imports; the first two are made as in the product."""
    with contextlib.redirect_stdout(sys.stderr):
        onnx_files.main(order)


def main(root: Path, artifacts: Path) -> None:
    found: dict[str, Any] = {"transformers": transformers.__version__, "torch": torch.__file__}
    plain = load(root, artifacts)
    found["plain"] = outputs(plain) | {"weight_bytes": weight_bytes(plain)}
    stack = {
        "onnxruntime": discover().technique("onnxruntime"),
        "onnxruntime_int8": discover().technique("onnxruntime_int8"),
        "per_channel": discover().technique("onnxruntime_int8", {"per_channel": True}),
    }
    for name, technique in stack.items():
        if name == "per_channel":
            onnx_files._in_own_process = in_this_process
        session = load(root, artifacts, technique)
        found[name] = {"evidence": shown(session, technique), "weight_bytes": weight_bytes(session)} | outputs(session)
    found["sabotaged"] = {
        f"{technique.name}: {how}": shown(load(root, artifacts, broken), broken)
        for technique in (stack["onnxruntime"], stack["onnxruntime_int8"]) for how, broken in sabotages(technique).items()
    }  # fmt: skip
    found["profile"] = profiled(root, artifacts, stack["onnxruntime"])
    for head in (Head.CLASSIFIER, Head.ENCODER):
        found[head] = {
            name: encoder_outputs(root, artifacts, head, *techniques)
            for name, techniques in (("plain", []), ("float32", [stack["onnxruntime"]]), ("int8", [stack["onnxruntime_int8"]]))
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
