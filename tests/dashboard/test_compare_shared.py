"""A comparison leaves the page: as a file by its address, as links that open the identical view, and frozen."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from db import queue
from engine import settings
from engine.export.files import whole
from engine.export.formats import csv_chunks
from engine.export.frames import of_frame
from tests.dashboard.test_compare import seen, texts, three  # noqa: F401  a fixture

Open = Callable[..., Any]


def rows(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_the_file_has_the_rows_of_the_page_with_what_they_are_compared_with(three: list[str], client: TestClient, open_page: Open) -> None:  # noqa: F811
    chosen = {"variants": f"{three[0]}.1,{three[2]}.1", "split": "device"}
    found = rows(client.get("/api/v1/compare.csv", params=chosen))
    decode = [r for r in found if r["metric"] == "decode_tokens_per_second" and "batch=1," in r["point"]]
    assert [(r["compared_as"], r["compared_with"], r["group"], r["verdict"]) for r in decode] == [
        ("float32 (First)", f"{three[0]}.0", "0", "baseline"), ("small (First)", f"{three[0]}.0", "0", "better"),
        ("float32 (Third)", f"{three[2]}.0", "1", "baseline"), ("small (Third)", f"{three[2]}.0", "1", "better"),
    ]  # fmt: skip
    assert decode[3]["variant"] == "small" and decode[3]["device_name"] == "H200" and float(decode[3]["ratio"]) == pytest.approx(2)
    assert decode[3]["link"] == settings.experiment_link(three[2])
    page = open_page("compare", **chosen)
    (button,) = [b.label for b in page.get("download_button") if b.label.startswith("Results (CSV)")]
    assert button == f"Results (CSV) · {len(found)} rows", "the count on the button is the count in the file"
    assert client.get("/api/v1/compare.json", params=chosen).json()[0]["compared_as"] == "float32 (First)"


def test_the_baseline_of_the_address_is_that_of_the_file(three: list[str], client: TestClient) -> None:  # noqa: F811
    found = rows(client.get("/api/v1/compare.csv", params={"variants": f"{three[0]}.0,{three[0]}.2", "base": f"{three[0]}.1"}))
    assert {r["compared_with"] for r in found} == {f"{three[0]}.1"}
    lost = next(r for r in found if r["compared_as"] == "huge" and r["metric"] == "decode_tokens_per_second")
    assert (lost["status"], lost["value"], lost["reason"]) == ("out_of_memory", "", "cuda: tried to allocate 20 GiB"), "kept, with its reason"


def test_what_is_not_there_is_named(three: list[str], client: TestClient) -> None:  # noqa: F811
    answer = client.get("/api/v1/compare.csv", params={"variants": f"{three[0]}.1,gone.0,{three[0]}.9"})
    assert answer.headers["x-missing-variants"] == f"gone.0,{three[0]}.9" and rows(answer)
    assert client.get("/api/v1/compare.csv", params={"variants": "gone.0"}).status_code == 404
    for asked in ({}, {"variants": ""}, {"variants": "nonsense,../../etc/passwd"}):
        assert client.get("/api/v1/compare.csv", params=asked).status_code == 400


CHOICES = {"tab": "change", "change": "ttft_seconds", "only": "0", "point": "batch=4, prompt_tokens=128, new_tokens=64"}


def opened(open_page: Open, **params: str) -> Any:
    page = open_page("compare", **params)
    page.session_state["share"] = True
    return page.run()


def views(page: Any) -> list[str]:
    return [c.value for c in page.code if re.match(r"https?://\S+$", c.value)]


def pictured(page: Any) -> dict[str, Any]:
    """What of a comparison is to be the same under every link to it."""
    assert not page.exception, page.exception[0].value
    return {"charts": [json.loads(c.proto.spec) for c in page.get("plotly_chart")], "tables": [d.value.to_dict() for d in page.dataframe]}


@pytest.mark.parametrize("kind", ["live", "share_save", "share_freeze"])
def test_every_link_opens_the_identical_view(three: list[str], open_page: Open, kind: str) -> None:  # noqa: F811
    chosen = {"variants": f"{three[0]}.0,{three[0]}.1,{three[1]}.1", "base": f"{three[0]}.1"}
    page = opened(open_page, **chosen, **CHOICES)
    (live,) = views(page)
    assert dict(parse_qsl(urlsplit(live).query)) == chosen | CHOICES
    if kind == "live":
        again = opened(open_page, **dict(parse_qsl(urlsplit(live).query)))
        assert seen(again) == seen(page)
        return
    page.button(key=kind).click().run()
    (made,) = [link for link in views(page) if "/view?id=" in link]
    assert pictured(open_page("view", id=made.partition("/view?id=")[2])) == pictured(page)


def test_a_frozen_comparison_stays_when_its_experiments_are_gone(db: Engine, three: list[str], open_page: Open) -> None:  # noqa: F811
    page = opened(open_page, variants=f"{three[0]}.1,{three[2]}.1", split="device", tab="samples")
    before = pictured(page)
    page.button(key="share_freeze").click().run()
    (made,) = [link for link in views(page) if "/view?id=" in link]
    for experiment in three:
        queue.delete_experiment(db, experiment)
    frozen = open_page("view", id=made.partition("/view?id=")[2])
    assert pictured(frozen) == before and "device: H100 (First); H200 (Third)" in texts(frozen)
    assert not [s for s in frozen.segmented_control if s.label == "Baselines"], "what is compared with what was frozen too"
    assert "None of" not in texts(frozen) and "2 of 2 variants are not here" in texts(open_page("compare", variants=f"{three[0]}.1,{three[2]}.1"))


def test_a_frozen_comparison_takes_nothing_from_the_visitors_own(three: list[str], open_page: Open) -> None:  # noqa: F811
    page = opened(open_page, variants=f"{three[0]}.0,{three[0]}.1")
    page.button(key="share_freeze").click().run()
    (made,) = [link for link in views(page) if "/view?id=" in link]
    before = pictured(page)
    page.selectbox(key="compare_y").select("ttft_seconds").run()
    for name in list(page.query_params):  # as a browser does on the way to another page
        del page.query_params[name]
    page.query_params["id"] = made.partition("/view?id=")[2]
    page.switch_page("views/view.py").run()
    assert pictured(page) == before


def test_the_markdown_table_says_what_differs_and_where_it_is(three: list[str], open_page: Open) -> None:  # noqa: F811
    page = opened(open_page, variants=f"{three[0]}.1,{three[2]}.1")
    (table,) = [c.value for c in page.code if c.value.startswith("**small")]
    assert "| Decode throughput | 30 tok/s" in table and "device: H100 (First); H200 (Third)" in table
    assert f"http://127.0.0.1:8501/compare?variants={three[0]}.1%2C{three[2]}.1" in table


def test_a_chart_is_a_file_of_exactly_what_it_draws(three: list[str], open_page: Open) -> None:  # noqa: F811
    page = open_page("compare", variants=f"{three[0]}.0,{three[0]}.1,{three[0]}.2", tab="change")
    assert [b.label for b in page.get("download_button") if "drawn" in b.label] == ["What is drawn (CSV) · 3 rows"]
    frame = pd.DataFrame({"variant": ["=1+1", "b"], "value": [1 / 3, float("nan")], "n": [5, 0], "on": [True, False], "reason": [None, "out of memory"]})
    text = whole(csv_chunks(of_frame(frame))).decode()
    assert text == f"variant,value,n,on,reason\n'=1+1,{1 / 3!r},5,true,\nb,,0,false,out of memory\n"
