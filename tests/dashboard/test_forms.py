"""Forms: every option there is can be drawn, is read back with its type, and what is wrong is named by its field."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from streamlit.testing.v1 import AppTest

from dashboard import forms
from engine.registry import discover

CLASSES = {**discover().techniques, **discover().workloads}


class Sample(BaseModel):
    """One option of each kind that the form knows."""

    count: int = Field(3, ge=1, le=9)
    share: float = Field(0.5, ge=0, le=1)
    mode: Literal["slow", "fast"] = "slow"
    exact: bool = False
    sizes: tuple[int, ...] = (1, 2)
    name: str = "x"
    limit: int | None = None
    maybe: bool | None = None


SCHEMA = Sample.model_json_schema()


def state(**changes: Any) -> dict[Any, Any]:
    values: dict[Any, Any] = {}
    forms.fill(SCHEMA, "p", {}, values, overwrite=False)
    return values | {f"p.{name}": value for name, value in changes.items()}


@pytest.mark.parametrize("name", CLASSES)
def test_every_option_of_everything_discovered_has_a_widget(name: str) -> None:
    for field, schema in CLASSES[name].model_json_schema().get("properties", {}).items():
        assert forms.can_draw(schema), field


@pytest.mark.parametrize("name", CLASSES)
def test_an_untouched_form_means_the_defaults(name: str) -> None:
    schema, values = CLASSES[name].model_json_schema(), {}  # type: dict[str, Any], dict[Any, Any]
    forms.fill(schema, "p", {}, values, overwrite=False)
    assert forms.read(schema, "p", values) == ({}, [])
    assert CLASSES[name](**forms.read(schema, "p", values)[0]) == CLASSES[name]()


def test_what_was_changed_comes_back_with_its_type() -> None:
    changed = state(count=4, share=0.25, mode="fast", exact=True, sizes="8, 1 2;4", name="y", limit=7)
    options, problems = forms.read(SCHEMA, "p", changed)
    assert problems == []
    assert options == {"count": 4, "share": 0.25, "mode": "fast", "exact": True, "sizes": [8, 1, 2, 4], "name": "y", "limit": 7}
    assert Sample(**options).sizes == (8, 1, 2, 4)


def test_given_values_are_shown_and_typed_ones_are_kept() -> None:
    values: dict[Any, Any] = {"p.count": 8}
    forms.fill(SCHEMA, "p", {"count": 5, "sizes": [4, 16]}, values, overwrite=False)
    assert (values["p.count"], values["p.sizes"]) == (8, "4, 16")
    forms.fill(SCHEMA, "p", {"sizes": 4}, values, overwrite=True)
    assert values["p.sizes"] == "4", "a number of an earlier version, where a list is now"
    forms.fill(SCHEMA, "p", {"count": 5}, values, overwrite=True)
    assert (values["p.count"], values["p.sizes"]) == (5, "1, 2")


@pytest.mark.parametrize(("changes", "problem"), [
    ({"count": None}, "count: give a number; 3 is the default"),
    ({"sizes": "1, two"}, "sizes: '1, two' is not a list of whole numbers; write for example 1, 4, 8"),
    ({"sizes": "1.5"}, "sizes: '1.5' is not a list of whole numbers; write for example 1, 4, 8"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_its_field(changes: dict[str, Any], problem: str) -> None:
    options, problems = forms.read(SCHEMA, "p", state(**changes, mode="fast"))
    assert problems == [problem]
    assert options == {"mode": "fast"}, "the rest is still read"


def test_widgets_carry_bounds_choices_and_help() -> None:
    def script(schema: dict[str, object]) -> None:
        import streamlit as st

        from dashboard import forms

        forms.fill(schema, "p", {}, st.session_state, overwrite=False)
        forms.draw(schema, "p")

    page = AppTest.from_function(script, args=(SCHEMA,), default_timeout=30).run()
    assert not page.exception
    count, limit = page.number_input(key="p.count"), page.number_input(key="p.limit")
    assert (count.min, count.max, count.value, limit.value) == (1, 9, 3, None)
    assert page.selectbox(key="p.mode").options == ["slow", "fast"]
    assert page.selectbox(key="p.maybe").options == ["yes", "no", "default"]
    assert page.toggle(key="p.exact").value is False
    assert page.text_input(key="p.sizes").value == "1, 2"
    assert "commas" in page.text_input(key="p.sizes").help
