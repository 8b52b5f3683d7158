"""Links: what was written is read back, and nothing in an address does harm."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import links

METRICS, POINTS, USUAL = ("weight_bytes", "ttft_seconds", "perplexity"), ("batch=1", "batch=4, new_tokens=8"), ("weight_bytes", "ttft_seconds")


@pytest.mark.parametrize("x", METRICS)
@pytest.mark.parametrize("y", METRICS)
@pytest.mark.parametrize("point", [None, *POINTS])
def test_a_view_survives_its_link(x: str, y: str, point: str | None) -> None:
    params = links.chart_params(links.ChartView(x, y, point), USUAL, POINTS[0])
    address = links.permalink("some-id", params)
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query, strict_parsing=True).items()}
    assert query.pop("id") == "some-id"
    read = links.chart_view(query, METRICS, POINTS, USUAL)
    assert (read.x, read.y, read.point or POINTS[0]) == (x, y, point or POINTS[0])
    assert read.refused == ()


def test_the_usual_view_has_the_short_link() -> None:
    assert links.chart_params(links.ChartView(*USUAL, POINTS[0]), USUAL, POINTS[0]) == {}
    assert links.permalink("some-id", {}) == "http://127.0.0.1:8501/experiment?id=some-id"


def test_what_a_link_asks_for_in_vain_is_named() -> None:
    view = links.chart_view({"x": "__class__", "y": "perplexity", "point": "batch=99"}, METRICS, POINTS, USUAL)
    assert view == links.ChartView("weight_bytes", "perplexity", None, ("x=__class__", "point=batch=99"))


@pytest.mark.parametrize("value", ["", " ", "../../etc/passwd", "a" * 33, "a b", "<script>", "é", "a\x00b/", "id\n;drop"])
def test_ids_that_cannot_be(value: str) -> None:
    assert links.experiment_id({"id": value}) is None


def test_an_id_that_can_be() -> None:
    assert links.experiment_id({"id": "GWXzmW-tnIQmk2Ird8sUv_"}) == "GWXzmW-tnIQmk2Ird8sUv_"
    assert links.experiment_id({}) is None


@pytest.mark.parametrize(("page", "expected"), [
    ("2", 2), ("0", 1), ("999999999999999999999", 7), ("-1", 1), ("two", 1), ("", 1), ("²", 1), ("1e3", 1),
])  # fmt: skip
def test_page_numbers(page: str, expected: int) -> None:
    assert links.page_number({"page": page}, 7) == expected


@given(st.dictionaries(st.sampled_from(["x", "y", "point", "id", "page"]), st.text()))
def test_anything_at_all_gives_a_view_that_exists(params: dict[str, str]) -> None:
    view = links.chart_view(params, METRICS, POINTS, USUAL)
    assert view.x in METRICS and view.y in METRICS and view.point in (None, *POINTS)
    assert 1 <= links.page_number(params, 3) <= 3
    found = links.experiment_id(params)
    assert found is None or found.replace("-", "").replace("_", "").isalnum()
