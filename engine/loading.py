"""Loads a model in the child process: plan, weights, techniques, evidence. The only place that calls transformers'
from_pretrained; a technique's own Loader may take its place.

Safe by construction: safetensors only, no remote code, hub models at a pinned revision, local ones below one root.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from engine import settings
from engine.catalogue import BUNDLED, SHAPES
from engine.compatibility import read_config, read_tokenizer
from engine.devices import Device
from engine.hub_models import check_room
from engine.measurement import Evidence
from engine.memory import storage_bytes
from engine.modelspec import Head, ModelSpec
from engine.ranks import this_rank
from engine.shapes import build_shape
from engine.technique import Checkpoint, ModelPlan, Ranks, Session, Slot, Technique, UnsupportedHereError, processes_of
from engine.workload import Workload

_SAFE = {"use_safetensors": True, "trust_remote_code": False}


class NotAppliedError(Exception):
    """A technique was asked for and its evidence contradicts that it took effect."""


def checkpoint(spec: ModelSpec, models_dir: Path, local_root: Path) -> tuple[str, dict[str, Any]]:
    """Where the weights are: a directory or hub id, and the options that pin it. Raises ValueError if absent."""
    if spec.source == "hub":
        check_room(spec.name, str(spec.revision))
        return spec.name, {"revision": spec.revision, **_SAFE}
    root = (models_dir if spec.source == "bundled" else local_root).resolve()
    folder = (root / spec.name).resolve()
    if not folder.is_relative_to(root):
        raise ValueError(f"model: {spec.name!r} leads out of {root}; put the model itself there, not a link")
    if not (folder / "config.json").is_file():
        fix = f"run: python -m engine.bundled {spec.name}" if spec.source == "bundled" else f"put its directory below {root}"
        raise ValueError(f"model: {spec.name!r} is not in {root}; {fix}")
    if not list(folder.glob("*.safetensors")):
        raise ValueError(f"model: {spec.name!r} has no safetensors file; unsafe weights formats are not loaded")
    return str(folder), {"local_files_only": True, **_SAFE}


def checkpoint_identity(spec: ModelSpec, models_dir: Path, local_root: Path) -> str:
    """What makes two loads the same weights: the hub commit, or a hash of the directory's file names, sizes and times."""
    if spec.source == "none":
        return str(spec)
    where, _ = checkpoint(spec, models_dir, local_root)
    if spec.source == "hub":
        return str(spec)
    files = sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in Path(where).iterdir() if f.is_file())
    return f"{spec}:{hashlib.sha256(repr(files).encode()).hexdigest()[:16]}"


def stated_dtype(spec: ModelSpec, where: str, options: dict[str, Any]) -> str:
    """The dtype that the model says it is stored in: what the empty stack, the baseline, loads."""
    if spec.source == "bundled":
        return BUNDLED[spec.name].dtype
    return str(getattr(read_config(where, options), "dtype", None) or torch.float32).removeprefix("torch.")


def stored_quantization(config: Any) -> str | None:
    """The method that a checkpoint says it was quantized with, in transformers' words ("gptq", "bitsandbytes"); None if it was not."""
    found = getattr(config, "quantization_config", None)
    if found is None:
        return None
    facts = found if isinstance(found, dict) else found.to_dict()
    return str(facts.get("quant_method", "bitsandbytes"))  # the first ones of bitsandbytes did not say so


def _check_stored_quantization(spec: ModelSpec, found: str | None, plan: ModelPlan, stack: Sequence[Technique]) -> None:
    """A checkpoint of packed weights is loaded as it is, or refused: what calls itself float32 must not be 4-bit underneath."""
    if plan.stored_quantization is not None:
        if found != plan.stored_quantization:
            raise UnsupportedHereError(
                f"{plan.stored_quantization}: the config of {spec} names {found or 'no quantization'}, so its weights are not of this "
                f"kind; choose a checkpoint whose quantization_config has the quant_method {plan.stored_quantization}"
            )
    elif found is not None:
        for technique in stack:
            if technique.slot in (Slot.PRECISION, Slot.WEIGHTS):
                raise UnsupportedHereError(
                    f"{technique.name}: the weights of {spec} are stored already quantized ({found}), which cannot be undone here; "
                    f"take {technique.name} out of the stack, or choose the checkpoint that it was made from"
                )


CLASSIFIER_HEADS = ("classifier", "score")
"""What transformers calls the layer that a classifier ends with."""

_AUTO_CLASSES = {
    Head.CAUSAL_LM: AutoModelForCausalLM, Head.CLASSIFIER: AutoModelForSequenceClassification, Head.ENCODER: AutoModel,
}  # fmt: skip


def build_ahead(
    spec: ModelSpec, stack: Sequence[Technique], device: Device, models_dir: Path, local_root: Path, head: Head, artifacts: Path
) -> None:
    """Make what the stack's loader needs, so that a timed `load_session` after it only reads. Nothing to do for most stacks."""
    if spec.source in ("none", "shape"):
        return
    where, options = checkpoint(spec, models_dir, local_root)
    plan = _planned(ModelPlan(dtype=stated_dtype(spec, where, options)), stack)
    if plan.loader is not None:
        identity = checkpoint_identity(spec, models_dir, local_root)
        plan.loader.build(Checkpoint(where, options, identity, head, device, artifacts))


def load_session(
    spec: ModelSpec, stack: Sequence[Technique], device: Device, seed: int, models_dir: Path, local_root: Path, texts_dir: Path,
    workload: Workload | None = None, artifacts: Path | None = None,
) -> Session:  # fmt: skip
    """Plan, load, apply. The model is in eval mode on the device.

    workload: what it is loaded for; None for a language model that is only called. artifacts: where loaders keep what they
    build; the data directory's folder where not given.
    """
    torch.manual_seed(seed)
    head = Head.CAUSAL_LM if workload is None else workload.head
    model = tokenizer = None
    if spec.source == "none":
        plan = _planned(ModelPlan(dtype="float32"), stack)
    elif spec.source == "shape":
        plan = _planned(ModelPlan(dtype=SHAPES[spec.name].dtype), stack)
        target = "cuda" if device.kind == "cuda" else "cpu"
        model = build_shape(SHAPES[spec.name], plan, target)
    else:
        where, options = checkpoint(spec, models_dir, local_root)
        plan = _planned(ModelPlan(dtype=stated_dtype(spec, where, options)), stack)
        _check_stored_quantization(spec, stored_quantization(read_config(where, options)), plan, stack)
        tokenizer = read_tokenizer(where, options)
        if plan.loader is None:
            model = _from_pretrained(spec, where, options, plan, device, head)
        else:
            identity = checkpoint_identity(spec, models_dir, local_root)
            artifacts = artifacts or settings.artifacts_dir()
            model = plan.loader.load(Checkpoint(where, options, identity, head, device, artifacts))
    if isinstance(model, torch.nn.Module):
        model.eval()
    training = None if workload is None else workload.training(model)
    ranks = None if processes_of(stack, device) is None else this_rank()
    session = Session(
        model, tokenizer, device, plan, spec, seed, texts_dir, workload=workload, training=training, ranks=ranks or Ranks()
    )
    for technique in stack:
        technique.apply(session)
    return session


def _from_pretrained(
    spec: ModelSpec, where: str, options: dict[str, Any], plan: ModelPlan, device: Device, head: Head
) -> Any:
    if head is Head.CLASSIFIER and hasattr(plan.quantization, "llm_int8_skip_modules"):
        # transformers spares a language model's head by itself, a classifier's not: its few columns do not fill one block.
        plan.quantization.llm_int8_skip_modules = [*(plan.quantization.llm_int8_skip_modules or ()), *CLASSIFIER_HEADS]
    config = read_config(where, options)
    try:
        model, loaded = _AUTO_CLASSES[head].from_pretrained(
            where,
            config=config,
            output_loading_info=True,
            dtype=getattr(torch, plan.dtype),
            quantization_config=plan.quantization,
            device_map={"": torch.cuda.current_device()} if device.kind == "cuda" else None,  # of a rank its own
            **options,
            **plan.load_options,
        )
    except ImportError as error:  # weights that were packed before need the package that packed them
        if (method := stored_quantization(config)) is None:
            raise
        raise UnsupportedHereError(f"the weights of {spec} are stored already quantized ({method}): {error}") from error
    if head is Head.CLASSIFIER and (missing := sorted(loaded["missing_keys"])):
        raise ValueError(f"model: {spec} was never fine-tuned to classify: its checkpoint has no {missing[0]}; choose a classifier")
    return model


def weight_bytes(session: Session) -> int:
    """Bytes of the loaded model's weights, counted by whoever loaded it."""
    loader = session.plan.loader
    return storage_bytes(session.model) if loader is None else loader.weight_bytes(session.model)


def parameter_count(session: Session, head: Head) -> int:
    """Parameters of the model as its config describes it, tied ones once: what there is before anything is packed or added."""
    if session.spec.source == "shape":
        return SHAPES[session.spec.name].parameters
    facts = session.model.config.to_dict()
    facts.pop("quantization_config", None)
    with torch.device("meta"):  # a skeleton without memory
        skeleton = _AUTO_CLASSES[head].from_config(type(session.model.config).from_dict(facts))
    skeleton.tie_weights()
    return sum(parameter.numel() for parameter in skeleton.parameters())


def _planned(plan: ModelPlan, stack: Sequence[Technique]) -> ModelPlan:
    for technique in stack:
        plan = technique.prepare(plan)
    return plan


def collect_evidence(session: Session, stack: Sequence[Technique]) -> dict[str, dict[str, Any]]:
    """What every technique shows of its effect, and what the model is made of.

    Raises NotAppliedError at the first technique whose facts contradict it.
    """
    evidence: dict[str, Any] = {}
    if isinstance(session.model, torch.nn.Module):
        evidence["model"] = {"facts": model_facts(session.model), "problem": None}
    for technique in stack:
        shown: Evidence = technique.evidence(session)
        evidence[technique.name] = {"facts": shown.facts, "problem": shown.problem}
        if shown.problem:
            raise NotAppliedError(f"not applied: {technique.name}: {shown.problem}")
    return evidence


def model_facts(model: Any) -> dict[str, Any]:
    """Linear layer classes and counts, dtypes by share of elements, attention implementation, and whether float32 products
    may be rounded to TF32."""
    layers = Counter(f"{type(m).__module__}.{type(m).__name__}" for m in model.modules() if is_linear(m))
    dtypes: Counter[str] = Counter()
    for parameter in model.parameters():
        dtypes[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    return {
        "class": type(model).__name__,
        "linear_layers": dict(layers),
        "parameter_elements_by_dtype": dict(dtypes),
        "attention": getattr(model.config, "_attn_implementation", None),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
    }


def is_linear(module: Any) -> bool:
    """Linear layers of every library name themselves so: nn.Linear, Linear4bit, dynamic Linear, Conv1D of GPT-2."""
    name = type(module).__name__
    return name == "Conv1D" or ("Linear" in name and "Params" not in name)
