"""The Share dialog, saved views and snapshots: what a link opens, also after a rename, a deletion, or a change behind its back."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from dashboard import share
from db import queue, saved
from db.records import import_record
from engine import edits
from tests.dashboard.conftest import HOSTILE, finished, texts

Open = Callable[..., Any]
CHOSEN = {"x": "perplexity", "y": "ttft_seconds"}


def opened(open_page: Open, experiment: str, **params: str) -> Any:
    """The page of an experiment with its Share dialog open."""
    page = open_page("experiment", id=experiment, **params)
    page.session_state["share"] = True
    return page.run()


def links(page: Any) -> list[str]:
    return [c.value for c in page.code if re.match(r"https?://\S+$", c.value)]


def made(page: Any, which: str) -> str:
    """Clicks one of the buttons; returns the id in the new link."""
    page.button(key=which).click().run()
    assert not page.exception
    (link,) = [found for found in links(page) if "/view?id=" in found]
    return link.partition("/view?id=")[2]


def shown(page: Any) -> dict[str, Any]:
    """What a visitor sees of an experiment: every chart's data, every table, every control."""
    assert not page.exception, page.exception[0].value
    charts = [json.loads(chart.proto.spec)["data"] for chart in page.get("plotly_chart")]
    controls = {e.label: e.value for kind in ("selectbox", "segmented_control", "pills") for e in getattr(page, kind, [])}
    assert charts and controls
    return {"charts": charts, "tables": [frame.value.to_dict() for frame in page.dataframe], "controls": controls, "title": page.title[0].value}


def test_the_dialog_costs_nothing_until_it_is_opened(db: Engine, experiment: str, open_page: Open) -> None:
    assert not links(open_page("experiment", id=experiment))


def test_the_live_link_says_what_the_page_shows_and_gives_no_access(db: Engine, experiment: str, open_page: Open) -> None:
    page = opened(open_page, experiment, **CHOSEN)
    assert links(page) == [f"http://127.0.0.1:8501/experiment?id={experiment}&x=perplexity&y=ttft_seconds"]
    assert "A link gives no access by itself." in texts(page) and "results may change" in texts(page)
    page.selectbox(key="experiment_y").select("weight_bytes").run()
    assert links(page) == [f"http://127.0.0.1:8501/experiment?id={experiment}&x=perplexity&y=weight_bytes"]


def test_links_begin_with_the_public_address(db: Engine, experiment: str, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://lab.example.org/")
    assert links(opened(open_page, experiment)) == [f"https://lab.example.org/experiment?id={experiment}"]


def test_the_markdown_table_is_there_to_copy(db: Engine, experiment: str, open_page: Open) -> None:
    page = opened(open_page, experiment)
    (table,) = [c.value for c in page.code if c.value.startswith("**An experiment**")]
    assert "| small | 60 tok/s · +100 % · ▲ better |" in table and "| huge | ⊘ did not fit |" in table


@pytest.mark.parametrize("kind", ["share_save", "share_freeze"])
def test_every_link_opens_the_same_view(db: Engine, experiment: str, open_page: Open, kind: str) -> None:
    page = opened(open_page, experiment, **CHOSEN)
    before = shown(page)
    again = shown(open_page("view", id=made(page, kind)))
    assert again == before


def test_a_long_link_is_answered_with_a_saved_view(db: Engine, experiment: str, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "some programs cut it off" not in texts(opened(open_page, experiment))
    monkeypatch.setattr(share, "LONGEST_LINK", 60)
    page = opened(open_page, experiment, **CHOSEN)
    assert "Save the view: its link is short" in texts(page)
    assert len(f"http://127.0.0.1:8501/view?id={made(page, 'share_save')}") < 60


def test_a_saved_view_follows_its_experiment(db: Engine, experiment: str, open_page: Open) -> None:
    view = made(opened(open_page, experiment, **CHOSEN), "share_save")
    edits.rename(db, experiment, "Another title")
    page = open_page("view", id=view)
    assert page.title[0].value == "Another title" and page.selectbox(key="experiment_x").value == "perplexity"
    queue.delete_experiment(db, experiment)
    assert "There is no such experiment" in texts(open_page("view", id=view))


def test_a_snapshot_stays_as_it_was(db: Engine, experiment: str, open_page: Open) -> None:
    page = opened(open_page, experiment, **CHOSEN)
    before, snapshot = shown(page), made(page, "share_freeze")
    edits.rename(db, experiment, "Another title")
    assert shown(open_page("view", id=snapshot)) == before
    queue.delete_experiment(db, experiment)
    page = open_page("view", id=snapshot)
    assert shown(page) == before
    assert re.search(r"An experiment: frozen on .* UTC by \S+\. Shows the values of then\. SHA-256 [0-9a-f]{64}, verified\.", texts(page))


def test_the_controls_of_a_snapshot_go_on_working(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("view", id=made(opened(open_page, experiment, **CHOSEN), "share_freeze"))
    usual = open_page("experiment", id=experiment)
    for key in ("experiment_x", "experiment_y"):
        page.selectbox(key=key).select(usual.selectbox(key=key).value).run()
    assert {"x", "y"}.isdisjoint(page.query_params)
    page.run()  # the address says nothing now, and what was frozen must not come back
    assert page.selectbox(key="experiment_x").value == usual.selectbox(key="experiment_x").value


def test_a_frozen_page_shares_its_own_link(db: Engine, experiment: str, open_page: Open) -> None:
    snapshot = made(opened(open_page, experiment), "share_freeze")
    page = open_page("view", id=snapshot)
    page.session_state["share"] = True
    page.run()
    assert links(page) == [f"http://127.0.0.1:8501/view?id={snapshot}"] and not [b for b in page.button if b.key == "share_freeze"]


@pytest.mark.parametrize("change", [
    "UPDATE snapshots SET name = 'better than it was'",
    "UPDATE snapshots SET document = :forged, sha256 = :hash",
])  # fmt: skip
def test_what_was_changed_behind_its_back_is_said_and_not_shown(db: Engine, experiment: str, open_page: Open, change: str) -> None:
    snapshot = made(opened(open_page, experiment), "share_freeze")
    assert "verified" in texts(open_page("view", id=snapshot))
    row = saved.snapshot(db, snapshot)
    assert row is not None
    forged = zlib.decompress(row["document"]).replace(b'"verdict":"worse"', b'"verdict":"better"')
    values = {"forged": zlib.compress(forged), "hash": hashlib.sha256(forged).hexdigest()}
    with db.begin() as connection:
        connection.execute(text(change), {k: v for k, v in values.items() if f":{k}" in change})
    page = open_page("view", id=snapshot)
    assert page.title[0].value == "This snapshot was changed after it was frozen"
    assert "It is not shown" in texts(page) and not page.dataframe and not page.get("plotly_chart")


@pytest.mark.parametrize("wanted", ["gone", "../x\x00"])
@pytest.mark.case("T40")
def test_a_link_to_nothing_is_answered(db: Engine, open_page: Open, wanted: str) -> None:
    assert "There is no such view" in texts(open_page("view", id=wanted))


def test_a_view_of_a_page_that_is_no_more_is_answered(db: Engine, open_page: Open) -> None:
    saved.save_view(db, "view-of-nothing", name="n", page="__class__", params={}, variants=0, owner=None)
    assert "There is no such view" in texts(open_page("view", id="view-of-nothing"))


def test_read_only_pages_share_links_alone(db: Engine, experiment: str, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_READ_ONLY", "1")
    page = opened(open_page, experiment)
    assert links(page) and page.button(key="share_save").disabled and page.button(key="share_freeze").disabled
    assert "read-only" in texts(page)


@pytest.mark.parametrize("kind", ["share_save", "share_freeze"])
def test_names_of_others_are_text(db: Engine, open_page: Open, kind: str) -> None:
    experiment = import_record(db, finished(HOSTILE), "imported")
    view = made(opened(open_page, experiment), kind)
    for page in (open_page("view", id=view), open_page("reports")):
        said = [str(e.value) for of in ("title", "header", "subheader", "markdown", "caption", "info", "success") for e in getattr(page, of)]
        assert not [s for s in said if re.search(r"(?<!\\)(!\[|<img|\*\*bold|\$x|:material/home)", s)]
