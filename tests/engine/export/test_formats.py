"""CSV, JSON and Parquet, each read back: numbers that stay numbers, text that cannot become a formula, types that survive."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from engine.export.files import FORMATS, Source, content
from engine.export.formats import csv_chunks, json_chunks
from engine.export.table import Table, columns
from tests.engine.export.records import LINK, read, record
from tests.records import build_record

DANGEROUS = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]
FAILED = {("small", r): {"status": "failed", "reason": '=HYPERLINK("http://x","y"), "quoted"\nsecond line'} for r in range(3)}


@pytest.mark.parametrize("name", DANGEROUS)
@pytest.mark.parametrize("format", ["csv", "variants", "samples"])
@pytest.mark.case("T35")
def test_text_cannot_become_a_formula(name: str, format: str) -> None:
    imported = record()  # the form refuses some of these names; a bundle may hold any
    imported["variants"][1]["name"] = name
    assert {r["variant"] for r in read(content(format, Source(imported)))} == {"base", "'" + name.replace("\r", "\n")}


def test_titles_and_reasons_are_text_too() -> None:
    row = read(content("csv", Source(record(title="-2+3", runs=FAILED))))[2]
    assert row["title"] == "'-2+3"
    assert row["reason"] == '\'=HYPERLINK("http://x","y"), "quoted"\nsecond line'
    assert (row["status"], row["value"], row["verdict"]) == ("failed", "", "failed")


@pytest.mark.case("T35")
def test_numbers_stay_numbers_even_below_zero() -> None:
    table = Table(columns(value="number", count="count", text="text"), [[-3.2, -1, "-3.2"]])
    assert "".join(csv_chunks(table)) == "value,count,text\n-3.2,-1,'-3.2\n"
    changed = record()
    changed["runs"][0]["measurements"][0]["samples"] = [-1.5]
    found = pd.read_csv(io.BytesIO(content("samples", Source(changed))))
    assert found["value"].dtype == "float64" and -1.5 in set(found["value"])


def test_every_digit_is_there() -> None:
    value = 0.1 + 0.2
    exact = build_record({"a": {"ttft_seconds": [value], "weight_bytes": [2.0**53 - 1]}})
    found = pd.read_csv(io.BytesIO(content("variants", Source(exact)))).iloc[0]
    assert found["ttft_seconds"] == value and found["weight_bytes"] == 2.0**53 - 1


@pytest.mark.parametrize("changes", [{}, {"runs": FAILED}, {"title": "=1+1, \"quoted\", Über"}])
def test_read_csv_gives_the_types_that_parquet_holds(changes: dict[str, Any]) -> None:
    typed = pd.read_parquet(io.BytesIO(content("parquet", Source(record(**changes), LINK))))
    read_back = pd.read_csv(io.BytesIO(content("csv", Source(record(**changes), LINK))), parse_dates=["created_at"])
    numbers = ["value", "low", "high", "ratio", "ci_low", "ci_high"]
    for name in numbers:
        assert typed[name].dtype == read_back[name].dtype == "float64"
        pd.testing.assert_series_equal(typed[name], read_back[name], check_exact=True)
    for name in ("n_rounds", "n_samples", "rounds", "seed"):
        assert typed[name].dtype == read_back[name].dtype == "int64"
    assert typed["baseline"].dtype == read_back["baseline"].dtype == "bool"
    assert str(read_back["created_at"].dtype).endswith("UTC]")
    assert str(typed["created_at"].dtype).endswith("UTC]") and list(typed["created_at"]) == list(read_back["created_at"])
    assert list(typed["variant"]) == list(read_back["variant"]) and list(typed["status"]) == list(read_back["status"])


def test_parquet_holds_text_as_it_is() -> None:
    typed = pd.read_parquet(io.BytesIO(content("parquet", Source(record("=cmd")))))
    assert set(typed["variant"]) == {"base", "=cmd"} and typed["link"].isna().all()
    assert set(typed["point"]) == {"batch=1, prompt_tokens=128, new_tokens=64"}


@pytest.mark.parametrize("format", ["csv", "variants", "samples"])
def test_the_first_line_is_the_header_and_no_byte_order_mark_is_before_it(format: str) -> None:
    text = content(format, Source(record()))
    assert text.startswith(b"experiment_id,") and not text.startswith(b"\xef\xbb\xbf")
    assert text.endswith(b"\n") and b"\r" not in text


def test_a_long_table_comes_in_pieces_and_is_never_held() -> None:
    made = 0

    def many() -> Iterator[list[Any]]:
        nonlocal made
        for made in range(20_000):
            yield ["text", made]

    chunks = csv_chunks(Table(columns(a="text", b="count"), many()))
    first = next(chunks)
    assert first.startswith("a,b\n") and made < 1_000
    assert len(list(csv.reader(io.StringIO(first + "".join(chunks))))) == 20_001


def test_json_without_rows_is_an_empty_array_and_with_rows_one_line_each() -> None:
    assert json.loads("".join(json_chunks(Table(columns(a="text"), [])))) == []
    text = "".join(json_chunks(Table(columns(a="text", b="number"), [["=1", None], ["x", -1.5]])))
    assert json.loads(text) == [{"a": "=1", "b": None}, {"a": "x", "b": -1.5}] and text.count("\n") == 4


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_a_record_that_has_no_run_yet(format: str) -> None:
    empty = build_record({"a": {}, "b": {}})
    empty["runs"] = []
    assert content(format, Source(empty, LINK))
