"""Makes a tiny random model (a LLaMA, a GPT-2, or a BERT with a classifier) with a real tokenizer in a directory: loads in a moment, needs no download.

Usage: python -m tests.tiny_model DIRECTORY [llama|gpt2|bert]. Run as a child process by tests that must not import torch themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def make(directory: Path, model_type: str = "llama", **changes: int) -> Path:
    """A 2-layer model with random weights (seed 0), byte-level tokenizer of 300 tokens, safetensors float32. changes: of its sizes."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    small: dict[str, Any] = {
        "llama": dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128),
        "gpt2": dict(n_embd=64, n_layer=2, n_head=4),
        # Random weights of the usual size give every text the same answer: larger ones, so that the texts decide.
        "bert": dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, initializer_range=0.3),
    }[model_type]
    positions = {"llama": {"max_position_embeddings": 512}, "gpt2": {"n_positions": 512},
                 "bert": {"max_position_embeddings": 512}}[model_type]
    config = AutoConfig.for_model(model_type, vocab_size=300, bos_token_id=0, eos_token_id=1, pad_token_id=1, **small | positions | changes)
    torch.manual_seed(0)
    auto = AutoModelForSequenceClassification if model_type == "bert" else AutoModelForCausalLM
    auto.from_config(config, dtype=torch.float32).save_pretrained(directory)
    _tokenizer().save_pretrained(directory)
    return directory


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["the cat sat on the mat and the dog sat on the log"] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")


if __name__ == "__main__":
    make(Path(sys.argv[1]), *sys.argv[2:3])
