"""Builds a model of a given shape with random weights, quantized layer by layer where the plan asks for it.

Speed and memory of such a model are real; its quality means nothing and is never reported.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.catalogue import Shape
from engine.technique import ModelPlan


def build_shape(shape: Shape, plan: ModelPlan, device: str) -> Any:
    """A causal LM of this shape on the device ("cuda" or "cpu"), weights normal(0, 0.02) in the plan's dtype.

    The skeleton is made without memory, then module by module filled, so that the peak is one layer above the result.
    """
    config = AutoConfig.for_model(shape.model_type, **shape.config)
    dtype = getattr(torch, plan.dtype)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, **plan.load_options)
    if plan.quantization is not None:
        from transformers.integrations.bitsandbytes import replace_with_bnb_linear

        skip = [name for name, _ in model.named_modules() if name.endswith("lm_head")]
        model = replace_with_bnb_linear(model, modules_to_not_convert=skip, quantization_config=plan.quantization)
    with torch.no_grad():
        for module in model.modules():
            _fill(model, module, dtype, device)
    model.tie_weights()
    return model


def _fill(model: Any, module: Any, dtype: torch.dtype, device: str) -> None:
    own = {**module._parameters, **module._buffers}
    if not any(t is not None and t.is_meta for t in own.values()):
        return
    weight = module._parameters.get("weight")
    if weight is not None and type(weight) is not torch.nn.Parameter:
        # A bitsandbytes parameter: it quantizes on its way from host memory to the device.
        values = torch.empty(weight.shape, dtype=dtype, device=device).normal_(0, 0.02)
        module.weight = type(weight)(values.cpu(), requires_grad=False, **weight.__dict__).to(device)
        if module.bias is not None:
            module.bias = torch.nn.Parameter(torch.zeros(module.bias.shape, dtype=dtype, device=device), requires_grad=False)
        return
    module.to_empty(device=device, recurse=False)
    model._init_weights(module)
