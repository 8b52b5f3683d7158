"""Child process: a GGUF checkpoint in, an ordinary float32 model directory out. Imports torch, so nothing imports it.

Usage: python -m engine.dequantize FILE.gguf DIRECTORY. The last word on stdout is the number of parameters.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def dequantize(gguf: Path, folder: Path) -> int:
    """Write config, tokenizer and safetensors; returns the number of parameters, tied ones counted once."""
    source = {"gguf_file": gguf.name, "local_files_only": True}
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **source)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # a model that was loaded from GGUF counts as quantized and refuses to be saved: its numbers move into a plain one
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict())
    plain.generation_config = loaded.generation_config
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(p.numel() for p in plain.parameters())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m engine.dequantize FILE.gguf DIRECTORY")
    print(dequantize(Path(sys.argv[1]), Path(sys.argv[2])))
