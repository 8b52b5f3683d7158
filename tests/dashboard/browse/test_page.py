"""The Experiments page: what an address says is what is shown, rows and controls; ticks keep to their experiments; nothing moves by itself."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine, event

from dashboard.browse import address
from dashboard.browse.address import USUAL_COLUMNS
from db import edits
from db.records import import_record
from tests.dashboard.browse.listed import (
    Ids,
    controls,
    open_list,
    rerun,
    said,
    set_row,
    submit,
    tick,
    ticked,
    titles,
)
from tests.dashboard.conftest import HOSTILE, finished, texts


def test_an_empty_database_gives_a_next_step(db: Engine) -> None:
    page = open_list()
    assert "There are no experiments yet" in texts(page) and not page.dataframe and not page.sidebar.get("button_group")


def test_all_are_there_newest_first_with_what_was_measured(three: Ids) -> None:
    page = open_list()
    assert titles(page) == ["new", "mid", "old"] and "1 to 3 of 3 · newest first · in 1 something did not fit" in texts(page)
    assert list(page.dataframe[0].value.columns) == ["title", *USUAL_COLUMNS]
    row = page.dataframe[0].value.iloc[2]
    assert row["title"] == f"experiment?id={three['old']}#old"
    assert (row["status"], row["model"], row["device"]) == ("✔ finished: 1 failed, 5 out of memory", "smollm2-135m", "a test machine")
    assert row["fastest"].startswith("small: 60 tok/s, perplexity 32.2") and row["smallest"].startswith("small: 95.4 MiB, perplexity 32.2")
    assert said(page) == {}


FULL: dict[str, str | list[str]] = {
    "q": "l", "status": ["finished", "queued"], "model": ["smollm2-135m", "tiny-llama"], "technique": ["float16", "bfloat16"],
    "workload": "generation", "device": ["a test machine", "cpu"], "tag": "paper", "owner": ["ada", "grace"], "source": ["local", "imported"],
    "from": "2020-01-01", "to": "2999-01-01", "archived": "all", "sort": "title", "size": "20", "columns": "id,tags", "more": "model",
}  # fmt: skip


def test_a_link_shows_in_a_clean_session_what_it_showed_in_another(db: Engine, three: Ids) -> None:
    """Every control is set by a click, the address that comes of it is opened by somebody else."""
    first = open_list()
    first.text_input(key="browse_q").set_value("i").run()
    first.button_group(key="browse_model").set_value(["tiny-llama"]).run()
    first.button_group(key="browse_technique").set_value(["bfloat16", "float16"]).run()
    first.button_group(key="browse_archived").set_value("all").run()
    first.date_input(key="browse_first").set_value(date(2020, 1, 2)).run()
    first.date_input(key="browse_last").set_value(date(2030, 1, 2)).run()
    first.selectbox(key="browse_sort").select("created").run()
    first.selectbox(key="browse_size").select(20).run()
    first.button_group(key="browse_columns").set_value(["id", "owner"]).run()
    tick(first, 0)
    link = said(first)
    assert set(link) == {"q", "model", "technique", "archived", "from", "to", "sort", "size", "columns", "chosen"}
    second = open_list(**link)
    assert titles(second) == titles(first) == ["mid", "new"] and ticked(second) == ticked(first) == ["mid"]
    assert controls(second) == controls(first) and said(second) == link
    assert second.dataframe[0].value.equals(first.dataframe[0].value) and list(second.dataframe[0].value.columns) == ["title", "owner", "id"]


def test_every_word_of_the_grammar_reaches_its_control(db: Engine, three: Ids) -> None:
    set_row(db, three["old"], owner="ada")
    page = open_list(**{k: v for k, v in FULL.items() if k != "technique"})
    assert titles(page) == ["mid", "old"]
    assert said(page) == {k: ",".join(v) if isinstance(v, list) else v for k, v in FULL.items() if k != "technique"}
    shown = controls(page)
    assert shown["browse_status"] == ["queued", "finished"], "in the order of the choices"
    assert {k: shown[f"browse_{k}"] for k in ("model", "device", "tag", "owner", "source", "q", "archived", "sort", "size", "columns", "workload")} == {
        "model": ["smollm2-135m", "tiny-llama"], "device": ["a test machine", "cpu"], "tag": ["paper"], "owner": ["ada", "grace"],
        "source": ["imported", "local"], "q": "l", "archived": "all", "sort": "title", "size": 20, "columns": ["tags", "id"],
        "workload": ["generation"],
    }  # fmt: skip
    assert (shown["browse_first"], shown["browse_last"]) == (date(2020, 1, 1), date(2999, 1, 1))


def test_filters_are_echoed_as_pills_that_take_them_away(three: Ids) -> None:
    page = open_list(q="mid", owner=["ada", "grace"], status="queued", page="1")
    shown = [b.label.replace("\\", "") for b in page.button if b.key and b.key.startswith("browse_drop_")]
    assert shown == ["Search: mid", "Status: ○ queued", "Owner: ada", "Owner: grace"]
    assert titles(page) == ["mid"] and page.button(key="browse_clear").label == "Clear all (4)"
    page.button(key="browse_drop_q_mid").click().run()
    assert titles(page) == ["new", "mid"] and page.text_input(key="browse_q").value == ""
    page.button(key="browse_drop_owner_ada").click().run()
    assert titles(page) == ["new"] and said(page) == {"owner": "grace", "status": "queued"}
    page.button(key="browse_clear").click().run()
    assert titles(page) == ["new", "mid", "old"] and said(page) == {} and page.button(key="browse_clear").disabled
    page.button(key="browse_finished").click().run()
    assert titles(page) == ["old"] and said(page) == {"status": "finished"}


def test_what_a_link_cannot_ask_for_is_named(three: Ids) -> None:
    page = open_list(status="sleeping", sort="-created", columns="owner,secrets", page="two", chosen="no/id")
    shown = texts(page)
    for problem in ("status: 'sleeping' is not known", "columns: 'secrets' is no column",
                    "page: 'two' is no number", "chosen: 'no/id' cannot be an id"):  # fmt: skip
        assert f"The link asked for what cannot be. {problem}" in shown
    assert titles(page) == ["new", "mid", "old"]
    page.button_group(key="browse_owner").set_value(["ada"]).run()
    assert "cannot be" not in texts(page), "said once"


def test_what_matches_nothing_names_the_filter_that_takes_most_away(db: Engine, three: Ids) -> None:
    page = open_list(q="old", owner="grace", model="of-nobody")
    assert "No experiment matches all of these filters" in texts(page) and "No single one of them is to blame" in texts(page)
    page = open_list(owner="nobody", tag="paper")
    assert "Owner: nobody takes most away. Without it there are 2 experiments." in texts(page)
    page.button(key="browse_drop_most").click().run()
    assert titles(page) == ["mid", "old"] and said(page) == {"tag": "paper"}
    edits.change(db, list(three.values()), {"archived": True})
    page = open_list()
    assert "Archive: not archived takes most away. Without it there are 3 experiments." in texts(page)
    page.button(key="browse_drop_most").click().run()
    assert titles(page) == ["new", "mid", "old"] and said(page) == {"archived": "all"}


def test_pages_are_turned_and_one_beyond_the_last_is_the_last(db: Engine, three: Ids) -> None:
    page = open_list(size="2")
    assert titles(page) == ["new", "mid"] and "1 to 2 of 3" in texts(page)
    page = open_list(size="2", page="2")
    assert titles(page) == ["old"] and page.session_state["browse_page"] == 2
    page = open_list(size="2", page="77")
    assert titles(page) == ["old"] and "3 to 3 of 3" in texts(page)


def test_long_facets_show_some_values_and_all_when_asked(db: Engine) -> None:
    for number in range(11):
        edits.add_tags(db, [submit(db, f"e{number}")], [f"tag {number:02}"])
    page = open_list(tag="tag 10")
    assert page.button(key="browse_more_tag").label == "2 more"
    assert [o.content for o in page.button_group(key="browse_tag").proto.options][-1] == "tag 10 · 1", "what is ticked is always there"
    page.button(key="browse_more_tag").click().run()
    assert len(page.button_group(key="browse_tag").proto.options) == 11 and said(page)["more"] == "tag"


@pytest.mark.case("T31")
def test_text_of_others_is_no_markdown(db: Engine) -> None:
    experiment = import_record(db, finished(HOSTILE), "imported")
    edits.add_tags(db, [experiment], [HOSTILE[:40]])
    page = open_list(tag=HOSTILE[:40])
    assert len(titles(page)) == 1
    labels = [b.label for b in page.button] + [o.content for g in page.get("button_group") for o in g.proto.options]
    assert not [t for t in labels if "<img" in t.replace("\\<", "")]
    assert any("onerror" in t for t in labels)


def test_a_fast_click_that_comes_with_an_old_address_loses_nothing(three: Ids) -> None:
    page = open_list()
    page.button_group(key="browse_owner").set_value(["ada"]).run()
    del page.query_params["owner"]  # the browser had not heard of the first click
    page.selectbox(key="browse_sort").select("title").run()
    assert said(page) == {"owner": "ada", "sort": "title"} and titles(page) == ["mid"]


def test_back_shows_what_was_there(three: Ids, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_list()
    page.button_group(key="browse_owner").set_value(["ada"]).run()
    monkeypatch.setattr("dashboard.browse.state.STALE_SECONDS", 0.0)  # a while later
    del page.query_params["owner"]
    rerun(page)
    assert titles(page) == ["new", "mid", "old"] and page.button_group(key="browse_owner").value == []


def test_who_comes_back_from_another_page_finds_what_was_left(three: Ids) -> None:
    page = open_list(owner="ada")
    page.switch_page("views/queue.py")
    for name in list(page.query_params):
        del page.query_params[name]
    rerun(page).switch_page("views/experiments.py")
    assert titles(rerun(page)) == ["mid"] and said(page) == {"owner": "ada"}


def test_the_page_asks_few_questions_and_reads_no_samples(db: Engine, three: Ids) -> None:
    counts = []
    open_list()  # brings the schema up to date
    for _ in range(2):
        found: list[str] = []

        def note(_: Any, __: Any, statement: str, *___: Any, found: list[str] = found) -> None:
            found.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        page = open_list(owner="ada")
        event.remove(Engine, "before_cursor_execute", note)
        assert page.dataframe
        asked = [s for s in found if s.lstrip().upper().startswith(("SELECT", "WITH"))]
        assert not [s for s in asked for large in ("samples", "warmups", "log_tail", "evidence", "spec", "facts") if f".{large}" in s]
        counts.append(len(asked))
        for number in range(8):
            submit(db, f"more {number}")
    assert counts == [14, 14]


def test_the_address_of_the_page_is_the_grammar_of_the_routes() -> None:
    assert {p.name for p in address.GRAMMAR}.isdisjoint(address.OF_THE_PAGE) and set(FULL) < set(address.NAMES)
