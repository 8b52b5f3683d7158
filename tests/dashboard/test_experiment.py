"""The page of one experiment: what people say of it and do with it, its tabs, and that every control is in the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import store
from dashboard.experiment import tabs
from dashboard.experiment.shown import NAMES, TABS, offers
from db import edits, queries
from db.filter import Filter
from db.listing import experiments
from db.records import import_record
from engine import edits as edit
from engine.analysis import summary
from engine.bundle import load_bundle
from engine.decisive import decisive
from engine.references import FOLDER
from tests.dashboard.conftest import finished, texts
from tests.dashboard.test_overview import links

Open = Callable[..., AppTest]


def opened(open_page: Open, experiment: str, *popovers: str, **params: str) -> AppTest:
    page = open_page("experiment", id=experiment, **params)
    for name in popovers:
        page.session_state[name] = True
    return page.run() if popovers else page


def said(db: Engine, experiment: str) -> dict[str, Any]:
    found = edits.current(db, experiment)
    assert found is not None
    return found


def test_a_new_name_is_there_at_once_and_the_old_link_works(db: Engine, experiment: str, open_page: Open) -> None:
    page = opened(open_page, experiment, "edit")
    page.text_input(key=f"edit_title_{experiment}").input("  A   better name ").run()
    assert not page.exception
    assert page.title[0].value == "A better name"
    assert "Renamed to A better name. Its links stay as they are." in texts(page)
    assert open_page("experiment", id=experiment).title[0].value == "A better name"


def test_of_two_with_one_name_the_link_opens_the_one_that_it_names(db: Engine, open_page: Open) -> None:
    ids = [import_record(db, finished("One name", f"one-name-{n}"), "local") for n in (1, 2)]
    for experiment in ids:
        edits.change(db, [experiment], {"note": f"the note of {experiment}"})
    listed = {row.id: row.title for row in experiments(db, Filter(q="One name")).itertuples()}
    assert listed == dict.fromkeys(ids, "One name")
    for experiment, other in (ids, ids[::-1]):
        page = open_page("experiment", id=experiment)
        assert page.title[0].value == "One name" and experiment in [c.value for c in page.code]
        assert f"the note of {experiment}" in texts(page) and f"the note of {other}" not in texts(page)


@pytest.mark.parametrize("bad", ["", "   ", "a\x07b"])
def test_a_name_that_cannot_be_is_refused_and_said(db: Engine, experiment: str, open_page: Open, bad: str) -> None:
    page = opened(open_page, experiment, "edit")
    page.text_input(key=f"edit_title_{experiment}").input(bad).run()
    assert not page.exception and "title:" in texts(page)
    assert said(db, experiment)["title"] == "An experiment"


def test_tags_and_a_note_are_kept_and_shown(db: Engine, experiment: str, open_page: Open) -> None:
    edit.add_tags(db, [experiment], ["release 7", "old"])
    page = opened(open_page, experiment, "edit")
    page.multiselect(key=f"edit_tags_{experiment}").unselect("old").run()
    page.text_area(key=f"edit_note_{experiment}").input("**bold** ![x](http://evil.example/x.png)").run()
    assert (said(db, experiment)["tags"], said(db, experiment)["note"]) == (["release 7"], "**bold** ![x](http://evil.example/x.png)")
    shown = [m.value for m in open_page("experiment", id=experiment).markdown]
    assert any("release 7" in m for m in shown)
    assert "**bold** !\\[x](http://evil.example/x.png)" in shown, "Markdown, but no picture is fetched"


def test_the_archive_takes_it_out_of_lists_and_gives_it_back(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment)
    page.button(key="archive").click().run()
    assert "An experiment is in the archive: lists leave it out, its link works." in texts(page)
    assert experiments(db, Filter()).empty and "This experiment is in the archive" in texts(open_page("experiment", id=experiment))
    page.button(key="archive").click().run()
    assert len(experiments(db, Filter())) == 1


def test_it_is_cloned_and_what_failed_is_retried(db: Engine, open_page: Open) -> None:
    record = finished()
    record["experiment"]["spec"]["model"] = {"source": "shape", "name": "tiny-llama", "revision": None}
    experiment = import_record(db, record, "imported")
    page = open_page("experiment", id=experiment)
    assert f"from={experiment}" in links(page)["Clone"]
    page.button(key="retry").click().run()
    assert not page.exception and "An experiment, retry is queued: float32, huge." in texts(page)


def test_what_ended_in_results_is_not_retried(db: Engine, experiment: str, open_page: Open) -> None:
    record = finished(experiment_id="all-went-well-0000001")
    record["runs"] = [r for r in record["runs"] if r["status"] != "failed"]
    page = open_page("experiment", id=import_record(db, record, "imported"))
    assert "retry" not in [b.key for b in page.button]
    assert "retry" in [b.key for b in open_page("experiment", id=experiment).button]


def test_reproducing_warns_of_what_is_not_here_as_it_was(db: Engine, experiment: str, open_page: Open) -> None:
    page = opened(open_page, experiment, "reproduce")
    codes = [c.value for c in page.code]
    assert any("baseline: float32" in c for c in codes) and any("engine run experiment.yaml" in c for c in codes)
    assert "Here it would not be measured as it was: device" in texts(page) and "instead of a test machine" in texts(page)


def test_the_revision_of_a_model_from_the_hub_is_named(db: Engine, open_page: Open) -> None:
    record = finished()
    record["experiment"]["spec"]["model"] = {"source": "hub", "name": "org/model", "revision": "a" * 40}
    page = opened(open_page, import_record(db, record, "imported"), "reproduce")
    assert f"at commit {'a' * 40}" in texts(page)


def test_an_unknown_id_is_named_and_can_be_searched_for(db: Engine, open_page: Open) -> None:
    page = open_page("experiment", id="deleted-experiment-001")
    assert "deleted-experiment-001: it may have been deleted" in texts(page)
    page.text_input(key="missing_search").input("nf4").run()
    assert "q=nf4" in next(address for label, address in links(page).items() if "nf4" in label)


@pytest.mark.parametrize("tab", TABS)
def test_each_tab_opens_by_its_link_and_draws_itself_only(
    db: Engine, experiment: str, open_page: Open, tab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    for name, draw in list(tabs.DRAWN.items()):
        monkeypatch.setitem(tabs.DRAWN, name, lambda shown, name=name, draw=draw: (drawn.append(name), draw(shown)))
    page = open_page("experiment", id=experiment, tab=tab)
    assert drawn == [tab]
    assert page.query_params.get("tab") in (([tab], tab) if tab != "summary" else (None, []))


def test_a_summary_loads_no_samples_and_no_log(db: Engine, experiment: str, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    record = queries.record

    def counted(database: Engine, experiment_id: str, samples: Any = "quality") -> Any:
        loaded.append(samples)
        return record(database, experiment_id, samples)

    monkeypatch.setattr(store.queries, "record", counted)
    monkeypatch.setattr(store.queries, "log_tail", lambda *_: pytest.fail("a log was loaded"))
    open_page("experiment", id=experiment)
    assert loaded and "all" not in loaded
    loaded.clear()
    open_page("experiment", id=experiment, tab="samples")
    assert "all" in loaded


def test_every_control_that_offers_a_choice_is_in_the_address_and_comes_back(db: Engine, open_page: Open) -> None:
    record = load_bundle(FOLDER / "smollm2-135m-h100.json")
    experiment = import_record(db, record, "reference")
    found = summary(record)
    kept = queries.record(db, experiment)
    assert kept is not None
    offered = offers(kept, found, decisive(kept), {})
    assert tuple(offered) == NAMES
    wanted = {name: next((o for o in offer.options if o != offer.usual), "") for name, offer in offered.items()}
    wanted = {name: value for name, value in wanted.items() if value} | {"tab": "samples"}
    assert len(wanted) >= 9, "most controls offer something here"
    page = open_page("experiment", id=experiment, **wanted)
    assert "The link asked for" not in texts(page)
    said_again = {name: value[0] if isinstance(value, list) else value for name, value in page.query_params.items()}
    assert said_again == wanted | {"id": experiment}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_control_cannot_be_is_named_and_falls_back(db: Engine, experiment: str, open_page: Open, name: str) -> None:
    page = open_page("experiment", id=experiment, **{name: "<nonsense>"})
    assert f"The link asked for what this experiment does not have: {name}=<nonsense>" in texts(page)
    assert page.query_params.get(name) in (None, [])


def test_another_experiment_begins_with_its_own_controls(db: Engine, experiment: str, open_page: Open) -> None:
    other = import_record(db, finished("Another", "another-experiment-01"), "imported")
    page = open_page("experiment", id=experiment, y="ttft_seconds")
    page.query_params["id"] = other
    del page.query_params["y"]
    page.run()
    assert page.title[0].value == "Another"
    assert page.selectbox(key="experiment_y").value == "decode_tokens_per_second"


def test_samples_are_drawn_twice_over_all_and_in_order(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment, tab="samples", of="1")
    assert len(page.get("plotly_chart")) == 2
    assert "Decode throughput of small: 5 iterations in 5 rounds after 5 of warm-up, which do not count." in texts(page)
    page.selectbox(key="experiment_sample").select("ttft_seconds").run()
    assert not page.exception and "Time to first token of small" in texts(page)


def test_the_environment_is_a_table_that_names_what_differs(db: Engine, open_page: Open) -> None:
    record = finished()
    record["environments"]["f" * 64] = {"device": "a test machine", "packages": {"torch": "2.14.0"}}
    record["runs"][0]["environment"] = "f" * 64
    page = open_page("experiment", id=import_record(db, record, "imported"), tab="environment")
    table = next(f.value for f in page.dataframe if "Fact" in f.value).set_index("Fact")
    assert list(table.loc["packages torch"])[-1] == "differs" and set(table.loc["packages torch"]) >= {"2.13.0", "2.14.0"}
    assert list(table.loc["device"])[-1] == ""


def test_the_configuration_shows_what_was_changed_from_the_defaults(db: Engine, open_page: Open) -> None:
    record = finished()
    record["experiment"]["spec"]["workload"] = {"name": "generation", "options": {"prompt_tokens": 64}}
    page = open_page("experiment", id=import_record(db, record, "imported"), tab="configuration")
    table = next(f.value for f in page.dataframe if "Option" in f.value).set_index("Option")
    assert list(table.loc["prompt tokens"]) == ["64", "128", "changed"] and list(table.loc["repeats"]) == ["5", "5", ""]


def test_files_say_how_many_rows_they_have(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment, tab="files")
    labels = [b.proto.label for b in page.get("download_button")]
    assert len(labels) >= 5 and any("rows" in label for label in labels)
