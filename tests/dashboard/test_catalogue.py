"""The catalogue: everything of the registry is in it, found by search and by link, with what it can and cannot be combined with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from dashboard import catalogue, forms, links
from engine.metrics import METRICS
from engine.registry import discover
from tests.dashboard.conftest import texts

Open = Callable[..., Any]
TECHNIQUES, WORKLOADS = sorted(discover().techniques), sorted(discover().workloads)


def cards(page: Any) -> list[str]:
    """Labels of the links on a page, without escapes."""
    return [link.proto.label.replace("\\", "") for link in page.get("page_link")]


def said(page: Any) -> str:
    return "\n".join([texts(page), *cards(page), *(c.value for c in page.code)])


def test_everything_of_the_registry_is_in_it(db: Engine, open_page: Open) -> None:
    found = cards(open_page("catalogue"))
    assert {discover().techniques[n].label for n in TECHNIQUES} <= set(found)
    assert {discover().workloads[n].label for n in WORKLOADS} <= set(cards(open_page("catalogue", show="workloads")))
    (table,) = open_page("catalogue", show="metrics").dataframe
    assert list(table.value["In files"]) == list(METRICS)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_technique_has_a_page(db: Engine, open_page: Open, name: str) -> None:
    cls = discover().techniques[name]
    page = open_page("catalogue", technique=name)
    assert page.title[0].value.replace("\\", "") == cls.label
    shown = said(page)
    assert cls.costs in shown and f"slot {cls.slot.value.replace('_', ' ')}" in shown and cls.reference in shown
    assert ("It can run on this machine." in shown) != ("Not on this machine:" in shown)
    options = [f.value for f in page.dataframe if "Option" in f.value]
    assert [list(f["Option"]) for f in options] == ([list(cls.model_fields)] if cls.model_fields else [])
    assert "How it works" in shown, "the project's own all have an explanation"
    assert "`None`" not in shown, "Streamlit shows what a line is worth, unless it is told not to"


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_has_a_page(db: Engine, open_page: Open, name: str) -> None:
    cls = discover().workloads[name]
    page = open_page("catalogue", workload=name)
    (measures,) = [f.value for f in page.dataframe if "In files" in f.value]
    assert set(measures["In files"]) == {*cls.metrics, *cls.quality_metrics, *cls.decides}
    assert list(measures[measures["Decides"] == "yes"]["In files"]) == list(cls.decides)


def test_search_and_family_are_in_the_address_and_come_from_it(db: Engine, open_page: Open) -> None:
    page = open_page("catalogue", q="nf4")
    assert page.text_input(key="catalogue_q").value == "nf4" and "4-bit NF4/FP4 (bitsandbytes)" in cards(page)
    assert "DDP" not in cards(page)
    page.selectbox(key="catalogue_family").select("optimizer").run()
    assert "Nothing is like that." in texts(page) and page.query_params["family"] in ("optimizer", ["optimizer"])
    page.text_input(key="catalogue_q").input("").run()
    assert set(cards(page)) >= {"AdamW", "Adafactor"} and "LoRA" not in cards(page) and "q" not in page.query_params
    page.segmented_control(key="catalogue_show").select("metrics").run()
    assert page.query_params["show"] in ("metrics", ["metrics"]) and "family" not in page.query_params


@pytest.mark.parametrize(("params", "words"), [
    ({"technique": "<b>x"}, "The link asked for the technique <b>x, which is not here."),
    ({"workload": "nothing"}, "The link asked for the workload nothing, which is not here."),
    ({"show": "secrets"}, "The link asked for show=secrets"), ({"family": "../x"}, "The link asked for family=../x"),
])  # fmt: skip
def test_a_link_to_what_is_not_here_says_so_and_shows_the_list(db: Engine, open_page: Open, params: dict[str, str], words: str) -> None:
    page = open_page("catalogue", **params)
    assert words in texts(page) and len(cards(page)) > 20
    assert links.text(page.query_params, next(iter(params))) is None


def test_what_does_not_go_together_is_said(db: Engine, open_page: Open) -> None:
    page = open_page("catalogue", technique="torchscript")
    assert "They take the same slot, runtime: ONNX Runtime, ONNX Runtime dynamic int8, TensorRT, torch.compile." in texts(page)
    (table,) = [f.value for f in page.dataframe if "Why" in f.value]
    assert "torchscript: the packed weights of bnb_4bit cannot be frozen" in table.set_index("Not together with").loc["4-bit NF4/FP4 (bitsandbytes)", "Why"]


def test_presets_and_claims_lead_on(db: Engine, open_page: Open) -> None:
    page = open_page("catalogue", technique="bnb_4bit")
    assert "Quickstart (quickstart)" in cards(page) and "Double quantization saves about 0.5 GB." in cards(page)
    queries = {link.proto.label.replace("\\", ""): str(link.proto.query_string) for link in page.get("page_link")}
    assert "preset=quickstart" in queries["Quickstart (quickstart)"]
    assert "claim=double-quantization-saves-0-5-gb" in queries["Double quantization saves about 0.5 GB."]


@pytest.mark.parametrize(("reason", "command"), [
    ("needs the gptq environment: python -m engine.environments gptq", "python -m engine.environments gptq"),
    ("needs flash_attn: pip install flash_attn", "pip install flash_attn"),
    ("it needs a C++ compiler, and none was found ($CXX or g++): apt-get install g++", "apt-get install g++"),
    ("it needs a GPU with float8 units", None), (None, None),
])  # fmt: skip
def test_a_command_that_installs_what_is_missing_is_offered_to_be_copied(reason: str | None, command: str | None) -> None:
    assert catalogue.install_command(reason) == command


def test_options_are_described_as_the_form_takes_them() -> None:
    rows = {r["Option"]: r for r in forms.described(discover().workloads["generation"].model_json_schema())}
    assert rows["prompt_tokens"]["Takes"] == "a whole number from 1 to 131,072" and rows["prompt_tokens"]["Default"] == "128"
    assert rows["new_tokens"]["Takes"] == "whole numbers from 2 to 65,536" and rows["new_tokens"]["Default"] == "64"
    rows = {r["Option"]: r for r in forms.described(discover().techniques["lora"].model_json_schema())}
    assert rows["alpha"]["Takes"] == "a number above 0 to 4,096" and rows["target_modules"]["Default"] == "q_proj, v_proj"
    rows = {r["Option"]: r for r in forms.described(discover().techniques["torch_compile"].model_json_schema())}
    assert rows["mode"]["Takes"] == "default, reduce-overhead, max-autotune" and rows["dynamic"] == {
        "Option": "dynamic", "Takes": "yes, no, default", "Default": "default", "What it is": rows["dynamic"]["What it is"],
    }  # fmt: skip
