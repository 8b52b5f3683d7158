"""Links: what was written is read back, and nothing in an address does harm."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import links


def test_an_address_has_its_parameters_escaped() -> None:
    address = links.permalink("some-id", {"x": "a&b=c", "point": "batch=4, new_tokens=8"})
    assert parse_qs(urlsplit(address).query, strict_parsing=True) == {"id": ["some-id"], "x": ["a&b=c"], "point": ["batch=4, new_tokens=8"]}
    assert links.permalink("some-id", {}) == "http://127.0.0.1:8501/experiment?id=some-id"


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


@given(st.dictionaries(st.sampled_from(["id", "page"]), st.text()))
def test_anything_at_all_gives_what_exists(params: dict[str, str]) -> None:
    assert 1 <= links.page_number(params, 3) <= 3
    found = links.experiment_id(params)
    assert found is None or all(c.isascii() and (c.isalnum() or c in "-_") for c in found)
