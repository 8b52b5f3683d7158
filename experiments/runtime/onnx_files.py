"""ONNX files of a checkpoint: made once in a process of their own, kept in the artifacts folder, loaded into ONNX Runtime.

Runs in the onnx environment. A process of its own, because exporting needs the torch model beside the graph: memory and
time that must not count as the runtime's. Usage (by OnnxLoader): python -m experiments.runtime.onnx_files JSON
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.environments import ENVIRONMENTS
from engine.modelspec import Head
from engine.settings import REPOSITORY
from engine.technique import Checkpoint

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
FACTS = "facts.json"
_MADE_BY = ("torch", "transformers", "optimum-onnx", "onnx", "onnxruntime")
_TASKS = {
    Head.CAUSAL_LM: "text-generation-with-past", Head.CLASSIFIER: "text-classification", Head.ENCODER: "feature-extraction",
}  # fmt: skip
_KEPT = 8
"""Folders that stay on disk, last used first; one of SmolLM2 in float32 takes 0.5 GB."""


def provider_on(kind: str, wanted: str) -> str:
    """A key of PROVIDERS: the wanted one, and for auto the one of the kind of device."""
    return wanted if wanted != "auto" else "cpu" if kind == "cpu" else "cuda"


def without_provider(provider: str) -> str | None:
    """In words, if the installed ONNX Runtime was built without a GPU provider."""
    environment = ENVIRONMENTS["onnx"]
    if (environment.packages / "onnxruntime" / "capi" / f"libonnxruntime_providers_{provider}.so").is_file():
        return None
    install = f"python -m pip install --no-deps --upgrade --target {environment.packages} onnxruntime-gpu"
    return f"the installed ONNX Runtime has no {PROVIDERS[provider]}: {install}"


@dataclass(frozen=True)
class OnnxLoader:
    """Loads a checkpoint as a graph in ONNX Runtime. `quantize`: None, or per_channel of dynamic int8 quantization."""

    provider: str
    quantize: bool | None = None

    def build(self, checkpoint: Checkpoint) -> None:
        folder = self._folder(checkpoint)
        if (folder / FACTS).is_file():
            folder.touch()  # it is in use, so it is not the one to be forgotten
            return
        order: dict[str, Any] = {"task": _TASKS[checkpoint.head]}
        if self.quantize is None:
            order |= {"where": checkpoint.where, "options": checkpoint.options, "head": checkpoint.head}
        else:
            float32 = OnnxLoader(self.provider)
            float32.build(checkpoint)
            order |= {"onnx": str(float32._folder(checkpoint)), "per_channel": self.quantize}
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
        try:
            _in_own_process(order | {"folder": str(unfinished)})
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        _forget_older(folder.parent)

    def load(self, checkpoint: Checkpoint) -> Any:
        import onnxruntime
        import torch
        from optimum import onnxruntime as optimum

        self.build(checkpoint)
        options = onnxruntime.SessionOptions()
        # its thread pool knows nothing of torch's setting, or of OMP_NUM_THREADS
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.enable_profiling = True  # until the first call has shown where every node runs: read_placement
        options.profile_file_prefix = str(Path(tempfile.mkdtemp(prefix="onnxruntime-")) / "profile")
        cls: Any = {
            Head.CAUSAL_LM: optimum.ORTModelForCausalLM, Head.CLASSIFIER: optimum.ORTModelForSequenceClassification,
            Head.ENCODER: optimum.ORTModelForFeatureExtraction,
        }[checkpoint.head]  # fmt: skip
        folder = self._folder(checkpoint)
        return cls.from_pretrained(
            folder, file_name=_facts(folder)["file"], provider=PROVIDERS[provider_on(checkpoint.device.kind, self.provider)],
            session_options=options, local_files_only=True,
        )  # fmt: skip

    def weight_bytes(self, model: Any) -> int:
        return int(file_facts(model)["weight_bytes"])

    def _folder(self, checkpoint: Checkpoint) -> Path:
        how = None if self.quantize is None else {"per_channel": self.quantize, "for": instruction_set()}
        made_by = {p: importlib.metadata.version(p) for p in _MADE_BY}
        key = json.dumps([checkpoint.identity, checkpoint.head, made_by, how], sort_keys=True)
        return checkpoint.artifacts / "onnx" / hashlib.sha256(key.encode()).hexdigest()[:32]


def file_facts(model: Any) -> dict[str, Any]:
    """What was counted in the model's own file when it was made: bytes of initializers, nodes by operator, quantization."""
    return _facts(Path(model.path).parent)


def _facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
    return facts


def instruction_set() -> str:
    """Which of AutoQuantizationConfig's presets fits this CPU."""
    from engine.environment import cpu_flags

    return choose_instruction_set(cpu_flags())


def choose_instruction_set(flags: Collection[str]) -> str:
    """The widest preset that a CPU with these flags runs. Raises ValueError where there is none."""
    for flag, preset in (("avx512_vnni", "avx512_vnni"), ("avx512f", "avx512"), ("avx2", "avx2"), ("asimd", "arm64")):
        if flag in flags:
            return preset
    raise ValueError("onnxruntime_int8: it knows CPUs with AVX2, AVX-512 or ARM64; this one has none of them")


def read_placement(session: Any) -> dict[str, dict[str, int]]:
    """{provider: {operator: nodes}} of an onnxruntime session's calls so far. Ends its profile, so that nothing is slowed later."""
    profile = Path(session.end_profiling())
    events = json.loads(profile.read_text())
    shutil.rmtree(profile.parent)
    suffix = "_kernel_time"
    nodes = {e["name"]: e["args"] for e in events if e.get("cat") == "Node" and e["name"].endswith(suffix)}
    placed: dict[str, Counter[str]] = {}
    for args in nodes.values():
        placed.setdefault(args["provider"], Counter())[args["op_name"]] += 1
    return {provider: dict(counts) for provider, counts in sorted(placed.items())}


def _in_own_process(order: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "experiments.runtime.onnx_files", json.dumps(order)]
    done = subprocess.run(command, check=False, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=2, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit {done.returncode}")
        raise RuntimeError(f"the model could not be turned into an ONNX file: {last[:1000]}")


def _forget_older(folder: Path) -> None:
    """Delete all but the last used; whoever still needs one makes it again."""
    newest_first = sorted((p for p in folder.iterdir() if (p / FACTS).is_file()), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    for path in newest_first[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _export(order: dict[str, Any]) -> str:
    import torch
    import transformers
    from optimum.exporters.onnx import onnx_export_from_model

    from engine.compatibility import read_config

    name = {"causal_lm": "AutoModelForCausalLM", "classifier": "AutoModelForSequenceClassification", "encoder": "AutoModel"}[order["head"]]
    # loaded here and not by the exporter, which would also read unsafe weights formats
    config = read_config(order["where"], order["options"])
    model = getattr(transformers, name).from_pretrained(order["where"], config=config, dtype=torch.float32, **order["options"]).eval()
    onnx_export_from_model(model, Path(order["folder"]), task=order["task"], do_validation=False)
    return "model.onnx"


def _quantize(order: dict[str, Any]) -> str:
    from optimum.onnxruntime import AutoQuantizationConfig, ORTQuantizer

    source = Path(order["onnx"])
    config = getattr(AutoQuantizationConfig, instruction_set())(is_static=False, per_channel=order["per_channel"])
    large = sum(f.stat().st_size for f in source.iterdir()) > 2**31
    quantizer = ORTQuantizer.from_pretrained(source, file_name=_facts(source)["file"])
    quantizer.quantize(save_dir=order["folder"], quantization_config=config, use_external_data_format=large)
    for name in ("config.json", "generation_config.json"):
        if (source / name).is_file():
            shutil.copy(source / name, order["folder"])
    return "model_quantized.onnx"


def _count(file: Path) -> dict[str, Any]:
    """Bytes of initializers (tensor data kept beside the file included) and nodes by operator."""
    import math

    import onnx

    graph = onnx.load(str(file), load_external_data=False).graph
    bits = {onnx.TensorProto.INT4: 4, onnx.TensorProto.UINT4: 4}
    weights = 0
    for tensor in graph.initializer:
        width = bits.get(tensor.data_type) or onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
        weights += math.prod(tensor.dims) * width // 8
    return {"file": file.name, "weight_bytes": weights, "nodes": dict(Counter(n.op_type for n in graph.node))}


def main(order: dict[str, Any]) -> None:
    """Fill the ordered folder; its facts come last and say that it is whole."""
    folder = Path(order["folder"])
    facts = _count(folder / (_quantize(order) if "onnx" in order else _export(order)))
    if "onnx" in order:
        facts |= {"quantized_for": instruction_set(), "per_channel": order["per_channel"]}
    os.chmod(folder, 0o755)
    (folder / FACTS).write_text(json.dumps(facts))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
