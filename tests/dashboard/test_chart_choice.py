"""The named charts above the trade-off: one click sets both axes, and what was not measured cannot be asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from dashboard.experiment.chart_choice import named
from db.records import import_record
from engine.decisive import Decisive
from engine.registry import discover
from tests.dashboard.conftest import finished, texts

Open = Callable[..., Any]
BITS = "show_bits_per_parameter"


@pytest.fixture
def with_bits(db: Engine) -> str:
    """The finished experiment with the bits of each run that counted its weights."""
    record = finished()
    for run in record["runs"]:
        for measured in [m for m in run["measurements"] if m["metric"] == "weight_bytes"]:
            bits = measured["value"] * 8 / 1e8
            run["measurements"].append(measured | {"metric": "bits_per_parameter", "value": bits, "samples": [bits]})
    return import_record(db, record, "imported")


def test_quality_against_bits_is_one_click_away(with_bits: str, open_page: Open) -> None:
    page = open_page("experiment", id=with_bits)
    assert page.selectbox(key="experiment_x").value == "weight_bytes"
    page.button(key=BITS).click().run()
    assert (page.selectbox(key="experiment_x").value, page.selectbox(key="experiment_y").value) == ("bits_per_parameter", "perplexity")
    words = texts(page)
    assert "Perplexity against Weights per parameter of 2 of 3 variants." in words, "the chart in words"
    assert "On the Pareto front (no other variant is better in both): float32, small." in words
    assert "Not drawn: huge (failed)." in words
    assert (page.query_params["x"], page.query_params["y"]) == ("bits_per_parameter", "perplexity"), "the address is of this view"
    page.button(key="show_weight_bytes").click().run()
    assert (page.selectbox(key="experiment_x").value, page.selectbox(key="experiment_y").value) == ("weight_bytes", "decode_tokens_per_second")


def test_the_link_opens_the_same_view(with_bits: str, open_page: Open) -> None:
    page = open_page("experiment", id=with_bits, x="bits_per_parameter", y="perplexity")
    assert "Perplexity against Weights per parameter" in texts(page)
    page.selectbox(key="experiment_y").select("ttft_seconds").run()
    assert "Time to first token against Weights per parameter" in texts(page)


def test_a_record_of_before_says_not_measured(experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment, x="bits_per_parameter", y="perplexity")
    button = page.button(key=BITS)
    assert button.disabled and button.help == "Weights per parameter: not measured in this experiment"
    assert page.selectbox(key="experiment_x").value == "weight_bytes"
    assert "x=bits_per_parameter" in texts(page), "and the link is told what it asked for in vain"


@pytest.mark.parametrize("workload", list(discover().workloads))
def test_bits_are_offered_where_weights_and_quality_are_measured(workload: str) -> None:
    decides = discover().workloads[workload].decides
    views = named(Decisive(decides))
    assert ("bits_per_parameter" in [x for x, _ in views.values()]) == ("weight_bytes" in decides)
    assert all(len({*pair}) == 2 for pair in views.values())
