"""What is done with ticked experiments and with the list: ticks keep to their experiments, files and links say what they are."""

from __future__ import annotations

import csv
import io
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import Engine

from dashboard.browse import actions, table
from dashboard.browse.address import MOST_CHOSEN
from db import listing, queue
from db.edits import current
from db.filter import Filter
from db.records import import_record
from engine import settings
from tests.dashboard.browse.listed import (
    Ids,
    open_list,
    rerun,
    said,
    set_row,
    submit,
    tick,
    ticked,
    titles,
)
from tests.dashboard.conftest import classified, texts

ME = settings.user()


def test_an_experiment_that_comes_in_moves_neither_rows_nor_ticks(db: Engine, three: Ids) -> None:
    page = tick(open_list(), 0, 2)
    assert ticked(page) == ["new", "old"] and said(page) == {"chosen": f"{three['new']},{three['old']}"}
    newest = submit(db, "newest")
    rerun(page)
    assert titles(page) == ["new", "mid", "old"] and ticked(page) == ["new", "old"]
    assert page.button(key="browse_refresh").label == "1 new experiment · Refresh"
    page.button(key="browse_refresh").click().run()
    assert titles(page) == ["newest", "new", "mid", "old"] and ticked(page) == ["new", "old"]
    assert "browse_refresh" not in [b.key for b in page.button]
    tick(page, 0, 1, 3)
    page.selectbox(key="browse_sort").select("title").run()
    assert titles(page) == ["mid", "new", "newest", "old"] and ticked(page) == ["new", "newest", "old"]
    page.button_group(key="browse_owner").set_value(["grace"]).run()
    assert titles(page) == ["new"] and len(said(page)["chosen"].split(",")) == 3, "those out of sight stay ticked"
    queue.delete_experiment(db, newest)
    rerun(page)
    assert f"1 experiment of those chosen no longer exist: {newest}" in texts(page).replace("\\", "")
    page.button(key="browse_none").click().run()
    assert said(page) == {"owner": "grace", "sort": "title"}


def test_ticks_by_position_become_ids() -> None:
    assert table.chosen_now((), ["a", "b", "c"], [2, 0]) == ("c", "a")
    assert table.chosen_now(("hidden", "a"), ["a", "b"], [1]) == ("hidden", "b")
    assert table.chosen_now(("a",), ["a"], [0, 9]) == ("a",), "a position that is no longer there"
    assert len(table.chosen_now((), [str(i) for i in range(500)], range(500))) == MOST_CHOSEN


def test_the_ticked_are_tagged_archived_and_compared(db: Engine, three: Ids) -> None:
    page = open_list(chosen=f"{three['mid']},{three['old']}")
    page.session_state["browse_tags"] = ["Weekly "]
    page.button(key="browse_tags_add").click().run()
    assert "Added weekly: 2 experiments" in texts(page)
    assert [current(db, three[t])["tags"] for t in ("new", "mid", "old")] == [[], ["paper", "weekly"], ["paper", "weekly"]]  # type: ignore[index]
    page.session_state["browse_tags"] = ["paper"]
    page.button(key="browse_tags_remove").click().run()
    assert current(db, three["old"])["tags"] == ["weekly"]  # type: ignore[index]
    page.session_state["browse_tags"] = []
    page.button(key="browse_tags_add").click().run()
    assert "tags: 0 are given" in texts(page)
    page.button(key="browse_compare").click().run()
    assert said(page)["variants"] == ",".join([*(f"{three['mid']}.{p}" for p in range(2)), *(f"{three['old']}.{p}" for p in range(3))])
    page.button(key="browse_archive").click().run()
    assert titles(page) == ["new"] and "2 experiments archived" in texts(page)
    assert page.button(key="browse_archive").disabled
    page.button(key="browse_unarchive").click().run()
    assert titles(page) == ["new", "mid", "old"]


def test_the_ticked_are_run_again_and_what_cannot_is_said(db: Engine, three: Ids) -> None:
    import_record(db, classified(), "imported")
    page = open_list(chosen=f"{three['mid']},{three['new']},{classified()['experiment']['id']}")
    assert page.button(key="browse_again").label == "Run 3 experiments again"
    request = page.session_state["browse_request"]
    page.button(key="browse_again").click().run()
    assert "2 experiments queued again, 1 not; A classifier: " in texts(page).replace("\\", "") and "chosen" not in said(page)
    assert "browse_request" not in page.session_state
    rerun(page).button(key="browse_refresh").click().run()
    assert [titles(page).count(t) for t in ("mid", "new", "old", "A classifier")] == [2, 2, 1, 1]
    mids = listing.experiments(db, Filter(q="mid"))
    assert set(mids["owner"]) == {"ada", ME}, "whoever asks for it again has it"
    again = open_list(chosen=three["mid"])
    again.session_state["browse_request"] = request
    again.button(key="browse_again").click().run()
    assert titles(again).count("mid") == 2, "the second click of a double click is the same request"


def test_mine(db: Engine, three: Ids) -> None:
    set_row(db, three["mid"], owner=ME)
    page = open_list()
    page.button(key="browse_mine").click().run()
    assert titles(page) == ["mid"] and said(page) == {"owner": ME} and page.button(key="browse_mine").disabled


def test_a_read_only_page_shows_and_downloads_but_changes_nothing(three: Ids, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_READ_ONLY", "1")
    page = open_list(chosen=three["old"])
    for key in ("browse_archive", "browse_tags_add", "browse_tags_remove", "browse_again"):
        assert page.button(key=key).disabled
    assert not page.button(key="browse_compare").disabled and titles(page) == ["new", "mid", "old"]


def test_the_download_has_as_many_rows_as_its_button_says(db: Engine, three: Ids) -> None:
    page = open_list(size="1", owner=["ada", "grace"])
    assert [e.label for e in page.get("download_button")] == ["CSV · 2 experiments"]
    set_row(db, three["new"], title="=HYPERLINK(1)")
    rows = list(csv.DictReader(io.StringIO(actions.csv_of(Filter(owner=("ada", "grace")))().decode())))
    assert [r["title"] for r in rows] == ["'=HYPERLINK(1)", "mid"]
    assert rows[1]["link"] == f"http://127.0.0.1:8501/experiment?id={three['mid']}" and rows[1]["status"] == "queued"
    assert (rows[1]["tags"], rows[1]["owner"], rows[1]["techniques"], rows[1]["variants"]) == ("paper", "ada", "bfloat16", "2")


def test_the_share_dialog_gives_a_link_to_this_view_and_a_table(db: Engine, three: Ids) -> None:
    page = open_list(owner="ada,grace", chosen=three["mid"], columns="owner,techniques")
    page.session_state["share"] = True
    rerun(page)
    codes = [c.value for c in page.code]
    assert codes[0] == f"http://127.0.0.1:8501/experiments?owner=ada%2Cgrace&columns=owner%2Ctechniques&chosen={three['mid']}"
    assert codes[1].splitlines()[2:] == ["| new | float16 | grace |", "| mid | bfloat16 | ada |", "", codes[0]]
    page.button(key="share_save").click().run()
    assert "The view is saved as Experiments" in texts(page)
    second = open_list(**dict(parse_qsl(urlsplit(codes[0]).query)))
    assert (titles(second), ticked(second), said(second)) == (titles(page), ["mid"], said(page))
