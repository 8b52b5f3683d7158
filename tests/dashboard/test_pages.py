"""Every page: empty, with results, while something runs, with hostile input; none ever ends in an exception."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db import listing, liveness, queries, queue
from db.filter import Filter
from db.records import import_record
from engine import api
from engine.bundle import load_bundle
from engine.presets import parse_spec
from engine.references import FOLDER, import_references
from tests.dashboard.conftest import HOSTILE, classified, finished, texts
from tests.records import build_record

Open = Callable[..., Any]
VIEWS = ("overview", "start", "new_experiment", "queue", "experiments", "experiment", "claims", "reports", "view")
CPU = queue.Offer("here/cpu", ("cpu", "here/cpu"))


def submit(db: Engine, **changes: Any) -> str:
    spec = parse_spec({"title": "mine", "model": "tiny-llama", "rounds": 3, "variants": ["bfloat16"]} | changes)
    return api.submit(db, spec)


@pytest.mark.parametrize("view", VIEWS)
def test_pages_of_an_empty_installation(db: Engine, open_page: Open, view: str) -> None:
    words = texts(open_page(view))
    said = {"experiment": "There is no such experiment", "view": "There is no such view", "reports": "There is no experiment to report on yet."}
    assert view == "experiments" or said.get(view, "No scheduler is running") in words


def test_a_database_that_cannot_be_used_is_one_clear_message(own_data: Path, open_page: Open) -> None:
    own_data.mkdir(parents=True)
    (own_data / "lab.db").write_text("not a database " * 500)
    words = texts(open_page())
    assert "file is not a database" in words and "LAB_DATA" in words


def test_a_database_that_fails_later_is_one_clear_message(db: Engine, experiment: str, open_page: Open) -> None:
    with db.begin() as connection:
        connection.execute(text("DROP TABLE measurements"))
    assert "no such table: measurements" in texts(open_page("experiment", id=experiment))


def test_without_own_results_the_overview_shows_the_best_measured_of_the_project(db: Engine, open_page: Open) -> None:
    assert import_references(db) == []
    runs = {p["id"]: p["succeeded"] for p in listing.experiments(db, Filter(size=100)).to_dict("records")}
    assert len(runs) > 10
    assert runs[open_page().selectbox(key="answer_results").value] == max(runs.values())


def test_a_model_of_random_weights_has_a_word_instead_of_a_table_of_quality(db: Engine, open_page: Open) -> None:
    record = load_bundle(FOLDER / "train-ladder-llama-7b-h200.json")
    page = open_page("experiment", id=import_record(db, record, "reference"), tab="quality")
    assert "Quality: not measured in this experiment." in texts(page)
    assert not any(frame.value.empty or frame.value.shape[1] < 2 for frame in page.dataframe)


def test_an_experiment_says_everything_that_was_found(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment)
    assert page.title[0].value == "An experiment"
    tables = [frame.value for frame in page.dataframe]
    headline = tables[0].set_index("Variant")
    assert headline.loc["small", "Decode throughput"] == "60 tok/s · +100 % · ▲ better"
    assert headline.loc["small", "Perplexity"].endswith("▼ worse")
    assert headline.loc["huge", "Decode throughput"] == "⊘ did not fit"
    assert headline.loc["huge", "Perplexity"] == "✖ failed"
    runs = next(f.value for f in open_page("experiment", id=experiment, tab="log").dataframe if "Reason" in f.value)
    assert (runs["Reason"] == "cuda: tried to allocate 20 GiB").sum() == 5
    page = open_page("experiment", id=experiment, tab="configuration")
    assert any("baseline: float32" in c.value for c in page.code), "the YAML that runs it again"


def test_a_classifier_shows_accuracy_its_test_and_the_changed_answers(db: Engine, open_page: Open) -> None:
    experiment = import_record(db, classified(), "imported")
    tables = [frame.value for frame in open_page("experiment", id=experiment).dataframe]
    headline = tables[0].set_index("Variant")
    assert headline.loc["int8", "Accuracy"] == "66.7 % · −17 % · ▼ worse"
    assert headline.loc["int8", "Examples per second"].endswith("▲ better")
    page = open_page("experiment", id=experiment, tab="quality")
    tables += [frame.value for frame in page.dataframe]
    flips = next(t for t in tables if "McNemar's p" in t).set_index("Variant")
    assert list(flips.loc["int8"]) == ["Accuracy", 60, 39, 9, 1, "0.021"]
    assert any("83.3 % (10 of 60 changed)" in t.to_string() for t in tables)
    assert "McNemar's exact test asks" in texts(page)
    assert not any("Perplexity" in t for t in tables), "a classifier has none"


def test_axes_and_point_come_from_the_link_and_go_back_into_it(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment, x="perplexity", y="ttft_seconds")
    assert (page.selectbox(key="experiment_x").value, page.selectbox(key="experiment_y").value) == ("perplexity", "ttft_seconds")
    page.selectbox(key="experiment_y").select("weight_bytes").run()
    assert page.query_params["y"] in ("weight_bytes", ["weight_bytes"])
    assert page.query_params["x"] in ("perplexity", ["perplexity"])


@pytest.mark.parametrize("params", [
    {"id": "../../etc/passwd"}, {"id": ""}, {"id": "x" * 10_000}, {"id": "\x00"}, {"id": "' OR 1=1 --"}, {"id": "deleted-experiment-001"},
])  # fmt: skip
@pytest.mark.case("T40")
def test_links_to_nothing_are_answered(db: Engine, open_page: Open, params: dict[str, str]) -> None:
    assert "There is no such experiment" in texts(open_page("experiment", **params))


def test_a_link_with_unknown_axes_shows_the_usual_ones_and_says_so(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment, x="__class__", point="batch=99")
    assert page.selectbox(key="experiment_x").value == "weight_bytes"
    assert "x=__class__" in texts(page) and "point=batch=99" in texts(page)


@pytest.mark.parametrize("page", ["-1", "0", "99999999999999999999", "x", "²"])
def test_page_numbers_are_harmless(db: Engine, experiment: str, open_page: Open, page: str) -> None:
    assert "1 to 1 of 1" in texts(open_page("experiments", page=page))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.case("T31")
def test_text_of_others_is_shown_as_it_is(db: Engine, open_page: Open, view: str) -> None:
    experiment = import_record(db, finished(HOSTILE), "imported")
    submit(db, title=HOSTILE)
    page = open_page(view, id=experiment)
    shown = [str(e.value) for kind in ("title", "header", "subheader", "markdown", "caption") for e in getattr(page, kind)]
    assert not [s for s in shown if re.search(r"(?<!\\)(!\[|<img|\*\*bold|\$x|:material/home)", s)]
    assert any("onerror" in s for s in shown) or view != "experiment", "it is there all the same"


def test_progress_while_something_runs_and_its_cancelling(db: Engine, open_page: Open) -> None:
    liveness.announce(db, "s", machine="here", pid=1, devices=[], availability={})
    experiment = submit(db)
    claimed = queue.claim(db, "s", CPU)
    assert claimed is not None
    queue.beat(db, claimed, phase="warm-up 1 of 3", log_tail="loading <b>weights</b>")
    assert "0 of 6 runs done" in texts(open_page("experiment", id=experiment))
    page = open_page("experiment", id=experiment)
    page.button(key="cancel_followed").click().run()
    record = queries.record(db, experiment)
    assert record is not None
    assert [r["status"] for r in record["runs"]] == ["running"] + ["cancelled"] * 5
    assert record["runs"][0]["cancel"] is True


def test_deleting_asks_first_and_the_link_then_says_so(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment)
    page.button(key="delete").click().run()
    assert queries.count_experiments(db) == 0
    assert "There is no such experiment" in texts(page)


def test_what_came_with_the_project_cannot_be_deleted(db: Engine, open_page: Open) -> None:
    experiment = import_record(db, finished(), "reference")
    page = open_page("experiment", id=experiment)
    assert not [b for b in page.button if b.key == "delete"]


@pytest.mark.parametrize(("share", "said"), [(0.4, True), (0.02, False)])
def test_a_busy_machine_is_named(db: Engine, open_page: Open, share: float, said: bool) -> None:
    record = finished()
    record["runs"][0]["details"] = {"cpu_share_of_others": share}
    page = open_page("experiment", id=import_record(db, record, "imported"))
    assert ("Other programs took up to 40% of the CPUs" in texts(page)) is said


@pytest.mark.parametrize("factor", [1.1, 1.0])
@pytest.mark.parametrize("view", ["overview", "experiment"])
def test_unreliable_timings_are_said_on_every_page_that_shows_them(db: Engine, open_page: Open, view: str, factor: float) -> None:
    steady = [1.0, 1.001, 0.999, 1.0, 1.002]
    timed = {"base": 30.0, "fast": 60.0, "base, again": 30.0 * factor}
    record = build_record({n: {"decode_tokens_per_second": [v * s for s in steady], "weight_bytes": [4e8] * 5} for n, v in timed.items()})
    record["experiment"]["spec"]["control"] = True
    page = open_page(view, id=import_record(db, record, "imported"))
    said = "The timings of this experiment are unreliable: the baseline measured again differs from itself: decode throughput +10.0 %"
    assert (said in texts(page)) is (factor > 1)
    table = page.dataframe[0].value
    fast = table[table["Variant"] == "fast"].iloc[0]
    assert fast["Decode throughput"].endswith("⚠ unreliable" if factor > 1 else "▲ better")
    if view == "overview":
        assert ("#### fast" in texts(page)) is (factor == 1.0) and "#### base, again" not in texts(page), "what is refuted is no answer"


def test_runs_that_were_slowed_down_or_drift_are_named(db: Engine, open_page: Open) -> None:
    record = finished()
    drift = {"metric": "ttft_seconds", "point": {"batch": 1}, "change": 0.083}
    record["runs"][0]["details"] = {"throttled": "GPU too hot (hardware) after the run", "drifting": [drift]}
    page = texts(open_page("experiment", id=import_record(db, record, "imported"), tab="environment"))
    assert "Some runs were slowed down and their times are left out: GPU too hot (hardware) after the run" in page
    assert "float32, round 1: time to first token +8.3 %" in page


def test_an_experiment_that_had_its_answers_early_says_so(db: Engine, open_page: Open) -> None:
    record = finished()
    record["experiment"]["spec"] |= {"rounds": 20, "stop_early": True}
    assert "answered after round 5 of 20" in texts(open_page("experiment", id=import_record(db, record, "imported")))


def test_a_record_of_another_version_is_one_clear_message(db: Engine, open_page: Open) -> None:
    record = finished()
    record["runs"][0]["measurements"][0]["metric"] = "joules_per_token"
    assert "'joules_per_token' is not known to this version" in texts(open_page("experiment", id=import_record(db, record, "imported")))


def test_a_bundle_that_was_stopped_early_says_so(db: Engine, open_page: Open) -> None:
    record = finished()
    record["runs"] = [r for r in record["runs"] if r["round"] == 0]
    assert "stopped early: 3 of 15 planned speed runs" in texts(open_page("experiment", id=import_record(db, record, "imported")))
