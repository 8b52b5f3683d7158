"""The stand-in for a model's forward that answers from frozen TorchScript traces, for sequences without padding."""

from __future__ import annotations

import time
import warnings
from typing import Any

_TRACED_LENGTH = 8


class TracedForward:
    """Called like a causal language model. One trace per batch size, and per request for all logits or the last ones only.

    A plain object: as a module it would become a part of the model that it traces.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._forward = model, model.forward
        self.traces: dict[tuple[int, int], Any] = {}
        self.seconds: dict[str, float] = {}
        self.calls = 0

    def __call__(self, input_ids: Any, attention_mask: Any = None, logits_to_keep: int = 0, **ignored: Any) -> Any:
        import torch
        from transformers.modeling_outputs import CausalLMOutput

        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        logits = self.trace(input_ids.shape[0], logits_to_keep)(input_ids, mask)
        self.calls += 1
        return CausalLMOutput(logits=logits)

    def trace(self, batch: int, keep: int) -> Any:
        """The frozen graph (input_ids, attention_mask), each int64 (batch, any length), to logits; made at the first request."""
        if (batch, keep) not in self.traces:
            started = time.perf_counter()
            self.traces[batch, keep] = self._frozen(batch, keep)
            self.seconds[f"batch {batch}, {'last logits' if keep else 'all logits'}"] = time.perf_counter() - started
        return self.traces[batch, keep]

    def _frozen(self, batch: int, keep: int) -> Any:
        import torch

        ids = torch.ones((batch, _TRACED_LENGTH), dtype=torch.int64, device=self._model.device)
        current, self._model.forward = self._model.forward, self._forward
        try:
            # without inference mode: tensors made there could not be used by a trace outside of it
            with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
                warnings.simplefilter("ignore")  # the tracer warns of every Python branch; tests compare the outputs instead
                graph = torch.jit.trace(_logits_module(self._model, keep), (ids, torch.ones_like(ids)), check_trace=False)
                return torch.jit.freeze(graph.eval())
        finally:
            self._model.forward = current

    def frozen_tensors(self) -> list[Any]:
        """The constants of all graphs: the weights that answer."""
        import torch

        constants = (n.output().toIValue() for g in self.traces.values() for n in g.graph.findAllNodes("prim::Constant"))
        return [c for c in constants if isinstance(c, torch.Tensor)]


def _logits_module(model: Any, keep: int) -> Any:
    import torch

    options: dict[str, Any] = {"logits_to_keep": keep} if keep else {}

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, return_dict=True, **options).logits

    return Logits().eval()
