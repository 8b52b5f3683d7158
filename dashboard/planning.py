"""The planner's question between the address, the widgets and engine/planning/plan_request.py, and its answer as frames. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import links
from dashboard.words import value_text
from engine.planning.plan_request import PlanRequest, request
from engine.specs import TechniqueSpec, default_name

USUAL: dict[str, Any] = {
    "model": "llama-7b", "techniques": (), "parallelism": None,
    **{name: PlanRequest.model_fields[name].default for name in ("workload", "batch", "length", "new_tokens", "accumulation", "gpus", "memory")},
}  # fmt: skip
"""What an address without parameters asks."""
ALONE = "one GPU"
_JOIN = " + "


def key(name: str) -> str:
    return f"plan_{name}"


def begin(params: Mapping[str, str]) -> list[str]:
    """Fill the widgets from the address, once a visit. Returns what it asks in vain, as name=value."""
    if key("model") in st.session_state:
        return []
    given = {name: links.text(params, name) for name in USUAL}
    values, refused = dict(USUAL), []
    for name, text in given.items():
        if text is None:
            continue
        value: Any = tuple(text.split(_JOIN)) if name == "techniques" else text
        try:
            request(**_together(values, name, value))
            values[name] = int(text) if isinstance(USUAL[name], int) else value
        except ValueError:
            refused.append(f"{name}={text}")
    for name, value in values.items():
        st.session_state[key(name)] = list(value) if name == "techniques" else value
    st.session_state[key("parallelism")] = values["parallelism"] or ALONE
    return refused


def _together(values: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """gpus makes sense with parallelism only, which comes later in the address; each is checked by itself."""
    return {**values, name: value} | ({"parallelism": "ddp"} if name == "gpus" else {})


def asked() -> PlanRequest:
    """What the widgets say. Raises ValueError naming the field and the fix."""
    state = {name: st.session_state.get(key(name), usual) for name, usual in USUAL.items()}
    for name in ("batch", "length", "new_tokens", "accumulation", "gpus"):
        if state[name] is None:
            raise ValueError(f"{name}: give a whole number")
    shared = state["workload"] == "training_step" and state["parallelism"] != ALONE
    state |= {"parallelism": state["parallelism"] if shared else None, "gpus": state["gpus"] if shared else 1}
    return request(**state | {"techniques": tuple(state["techniques"])})


def address(wanted: PlanRequest) -> dict[str, str]:
    """Parameters that `begin` turns into the same question; what is usual is left out."""
    values = {name: getattr(wanted, name) for name in USUAL} | {"model": str(wanted.model)}
    values["techniques"] = tuple(technique_text(t) for t in wanted.techniques)
    changed = {name: value for name, value in values.items() if value != USUAL[name]}
    return {name: _JOIN.join(value) if name == "techniques" else str(value) for name, value in changed.items()}


def technique_text(technique: TechniqueSpec) -> str:
    return default_name((technique,))


def experiment(wanted: PlanRequest, answer: dict[str, Any]) -> dict[str, Any]:
    """The experiment that measures this plan, for the form: the spec as JSON data."""
    stack = wanted.stack
    return {
        "title": f"Memory of {answer['model']}, {stack.name}"[:200], "model": wanted.model.model_dump(mode="json"),
        "device": "cuda:all" if wanted.gpus > 1 else "cuda", "baseline": stack.name,
        "workload": {"name": wanted.workload, "options": wanted.workload_options},
        "variants": [{"name": stack.name, "stack": [t.model_dump(mode="json") for t in stack.stack]}],
    }  # fmt: skip


def components_table(answer: dict[str, Any]) -> pd.DataFrame:
    rows = [(name.removesuffix("_bytes").replace("_", " "), value) for name, value in answer["components"].items()]
    total = answer["peak_memory_bytes"]
    texts = [(name, value_text("peak_memory_bytes", value), f"{value / total:.0%}") for name, value in [*rows, ("peak", total)]]
    return pd.DataFrame(texts, columns=["Component", "Memory on each GPU", "Share"])


def scale_table(answer: dict[str, Any]) -> pd.DataFrame:
    """The chapter's table."""
    titles = {
        "ideal_32_bit_bytes": "32 bit", "ideal_16_bit_bytes": "16 bit", "ideal_8_bit_bytes": "8 bit", "ideal_4_bit_bytes": "4 bit",
        "llm_int8_stored_bytes": "LLM.int8, as stored", "nf4_stored_bytes": "NF4, as stored", "adamw_float32_training_bytes": "AdamW training, float32",
    }  # fmt: skip
    frame = pd.DataFrame(answer["scale"])
    columns = {title: [value_text("weight_bytes", v) if v == v and v is not None else "no formula" for v in frame[name]] for name, title in titles.items()}
    return pd.DataFrame({"Model": frame["model"], "Parameters": [f"{n:,}" for n in frame["parameters"]], **columns})
