"""What the tests of caches share: a generation with its cache, and quality against feeding one token after the other."""

from __future__ import annotations

from typing import Any

import torch

from engine.technique import Session


def generated(session: Session, prompt: int, new: int) -> tuple[list[int], Any]:
    ids = torch.arange(2, 2 + prompt).unsqueeze(0)
    out = session.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new, min_new_tokens=new, pad_token_id=0,
        return_dict_in_generate=True, **session.call_options(1, prompt + new),
    )  # fmt: skip
    return [int(t) for t in out.sequences[0]], out.past_key_values


def assert_equals_token_by_token(session: Session, ids: torch.Tensor) -> None:
    from engine.quality import log_probabilities

    assert session.cache is not None
    ((found, _),) = log_probabilities(session, [ids])
    cache, prompt, logits = session.cache.new(1, ids.shape[1]), sum(session.cache.lossy_steps), []
    with torch.inference_mode():
        for start, end in [(0, prompt), *((i, i + 1) for i in range(prompt, ids.shape[1]))]:
            mask = torch.ones(1, end, dtype=torch.int64)
            logits.append(session.model(ids[:, start:end], attention_mask=mask, past_key_values=cache, use_cache=True).logits[0])
        whole = torch.log_softmax(session.model(ids, use_cache=False).logits[0, :-1], -1)
    expected = torch.log_softmax(torch.cat(logits)[:-1], -1)
    lost = (expected - whole).abs().max()
    assert (found - expected).abs().max() < 0.01 * lost, "rounding moves a packed number now and then, which is nothing beside the packing"
