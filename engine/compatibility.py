"""Reads configs and tokenizers whichever major version of transformers saved them. Used by the child process only.

The core environment has transformers 5, the onnx environment 4.57, and both load the same directories. What the older one
would misread without a word is translated here; what it cannot express is refused.
"""

from __future__ import annotations

from typing import Any

import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

_NOT_FOR_CONFIGS = ("use_safetensors",)


def read_config(where: str, options: dict[str, Any]) -> Any:
    """A checkpoint's config. where, options: as for from_pretrained. Raises ValueError where this version cannot express it."""
    config = AutoConfig.from_pretrained(where, **_for_configs(options))
    if int(transformers.__version__.partition(".")[0]) < 5:
        _rope_of_version_4(config)
    return config


def _rope_of_version_4(config: Any) -> None:
    """Version 4 keeps an unknown `rope_parameters` aside and takes the default base: another model, and no warning."""
    rope = config.__dict__.pop("rope_parameters", None)
    if rope is None:
        return
    if "rope_theta" not in rope:
        raise ValueError("model: it has other rotary embeddings per kind of layer; transformers 4 cannot read that, so neither can ONNX")
    scaling = {k: v for k, v in rope.items() if k not in ("rope_theta", "partial_rotary_factor")}
    config.rope_theta = rope["rope_theta"]
    config.rope_scaling = scaling if scaling.get("rope_type", "default") != "default" else None
    if "partial_rotary_factor" in rope:
        config.partial_rotary_factor = rope["partial_rotary_factor"]


def read_tokenizer(where: str, options: dict[str, Any]) -> Any:
    """A checkpoint's tokenizer."""
    try:
        return AutoTokenizer.from_pretrained(where, **_for_configs(options))
    except ValueError as error:
        if "TokenizersBackend" not in str(error):  # version 5's name of the class that version 4 has under another one
            raise
        return PreTrainedTokenizerFast.from_pretrained(where, **_for_configs(options))


def _for_configs(options: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k not in _NOT_FOR_CONFIGS}
