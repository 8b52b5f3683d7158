"""Names at the marks of a chart: beside them, and not over each other while there is room."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from dashboard.charts.labels import WIDTH, pixels, sides


def test_neighbours_have_their_names_on_different_sides() -> None:
    names = ["bfloat16", "float16", "float16 without KV cache", "bnb_nf4"]
    found = sides([300, 302, 301, 303], [100, 112, 120, 90], names)
    assert len(set(found)) == 4


def test_a_name_with_room_stands_above_and_none_beyond_the_end() -> None:
    assert sides([300, 60], [100, 200], ["alone", "alone too"]) == ["top center", "top center"]
    (found,) = sides([WIDTH - 5], [100], ["a very long name indeed"])
    assert found.endswith("left")


def test_what_is_not_shown_takes_no_room() -> None:
    assert sides([300, 300], [100, 130], ["", "shown"]) == ["top center", "top center"]


def test_a_name_keeps_off_another_mark() -> None:
    assert sides([300, 300], [100, 117], ["low", "high"])[0] != "top center"


@pytest.mark.parametrize(("kind", "ends", "values"), [("linear", [0, 20], [10.0]), ("log", [0, 2], [10.0])])
def test_a_place_on_an_axis(kind: str, ends: list[int], values: list[float]) -> None:
    figure = go.Figure().update_xaxes(type=kind, range=ends)
    assert pixels(values, figure.layout.xaxis, 600) == [300]
