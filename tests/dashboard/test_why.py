"""The section Why on an experiment's page: sentences, interactions, answers side by side, and hostile text in all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from db.records import import_record
from engine.record import Record
from tests.dashboard.conftest import HOSTILE, classified, finished, texts
from tests.engine.answers.test_interactions import STACKS, record_of
from tests.engine.answers.test_outputs import answer
from tests.engine.answers.test_regimes import CEILINGS

Open = Callable[..., Any]


def answering(**answers: dict[str, Any]) -> Record:
    """The finished experiment, with answers in the quality runs of the named variants."""
    record = finished()
    names = [v["name"] for v in record["variants"]]
    for run in record["runs"]:
        if run["kind"] == "quality" and names[run["variant"]] in answers:
            run["details"] = {"outputs": answers[names[run["variant"]]]}
    return record


def test_what_holds_for_all_is_said_once(db: Engine, open_page: Open) -> None:
    page = open_page("experiment", id=import_record(db, finished(), "imported"))
    assert "Why" in [h.value for h in page.header]
    words = texts(page)
    assert "Nothing of it was measured: cuda: tried to allocate 20 GiB." in words
    record = finished()
    record["variants"].pop()
    record["runs"] = [r for r in record["runs"] if r["variant"] < 2]
    record["experiment"]["id"] = "finished-experiment-02"
    words = texts(open_page("experiment", id=import_record(db, record, "imported")))
    assert words.count("a version that measured no ceilings") == 1 and "All variants: What limits its speed is not measured" in words


def test_regimes_stand_on_the_page(db: Engine, open_page: Open) -> None:
    record = finished()
    for run in record["runs"]:
        if run["variant"] == 0 and run["kind"] == "speed":
            run["details"] = {"ceilings": CEILINGS}
            extra = {"metric": "inter_token_latency_seconds", "value": 0.006}, {"metric": "bits_per_parameter", "value": 32.0, "point": {}}
            template = next(m for m in run["measurements"] if m["metric"] == "ttft_seconds")
            run["measurements"] += [template | {"samples": [e["value"]]} | e for e in extra]
    page = open_page("experiment", id=import_record(db, record, "imported"))
    table = next(t.value for t in page.dataframe if "Limit" in t.value)
    prefill, decode = table.to_dict("records")[0:2]
    assert (prefill["Variant"], prefill["Phase"], prefill["Bandwidth"]) == ("float32", "prefill", "2.0 %")
    assert (decode["Phase"], decode["Limit"], decode["Bandwidth"]) == ("decode", "– none alone", "– not measured"), "no cache was counted"
    assert decode["Arithmetic"] == "3.3 %"
    assert "What limits its speed is not measured" in texts(page), "of the others"


def test_interactions_are_a_table(db: Engine, open_page: Open) -> None:
    record = record_of({"base": 10.0, "a": 20.0, "b": 30.0, "ab": 90.0}, STACKS, noise=1e-5)
    page = open_page("experiment", id=import_record(db, record, "imported"))
    table = next(t.value for t in page.dataframe if "Interaction" in t.value)
    (row,) = table.to_dict("records")
    assert (row["Together"], row["One"], row["The other"], row["Metric"]) == ("ab", "a", "b", "Decode throughput")
    assert (row["One alone"], row["The other alone"], row["Product of both"]) == ("+100 %", "+200 %", "+500 %")
    assert (row["Measured together"], row["Measured against product"]) == ("+800 %", "+50 %")
    assert row["Interaction"] == "more than the product" and row["95 % interval"]


def test_without_pairs_there_is_no_table(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment)
    assert "Interactions" not in [s.value for s in page.subheader]


def test_answers_stand_side_by_side_with_the_first_difference_marked(db: Engine, open_page: Open) -> None:
    record = answering(float32=answer(0, 1, 2), small=answer(0, 1, 9))
    page = open_page("experiment", id=import_record(db, record, "imported"), tab="quality")
    words = texts(page)
    assert "Answers side by side" in words and "No answer of huge: its quality run: failed." in words
    assert "a b **▸ token 3:** :orange-background[c]" in words and "a b **▸ token 3:** :orange-background[j]" in words
    assert "The same as the baseline's up to token 2 of 3." in words
    words = texts(open_page("experiment", id=record["experiment"]["id"]))
    assert "Its greedy answer leaves the baseline's at token 3 of 3." in words


def test_the_reader_chooses_what_stands_beside_the_baseline(db: Engine, open_page: Open) -> None:
    record = answering(float32=answer(0, 1), small=answer(0, 9), huge=answer(0, 1))
    page = open_page("experiment", id=import_record(db, record, "imported"), tab="quality")
    page.selectbox(key="experiment_beside").select("2").run()
    assert not page.exception
    assert "Identical to the baseline's in all 2 tokens." in texts(page) and "▸ token" not in texts(page)


def test_an_answer_without_the_baselines_is_compared_with_nothing(db: Engine, open_page: Open) -> None:
    page = open_page("experiment", id=import_record(db, answering(small=answer(0, 1)), "imported"), tab="quality")
    words = texts(page)
    assert "a b" in words and "Identical to" not in words and "up to token" not in words


def test_text_of_others_is_shown_as_it_is(db: Engine, open_page: Open) -> None:
    hostile = {"prompt": HOSTILE, "ids": [1, 2], "text": HOSTILE, "ends": [5, len(HOSTILE)]}
    record = answering(float32=hostile, small=hostile | {"ids": [1, 3]})
    page = open_page("experiment", id=import_record(db, record, "imported"), tab="quality")
    shown = [str(e.value) for kind in ("markdown", "caption") for e in getattr(page, kind)]
    mine = [s for s in shown if "onerror" in s]
    assert len(mine) == 3, "the prompt and two answers"
    assert all("\\<img" in s or "src\\=x" in s for s in mine) and not any("![]" in s or "[a](" in s for s in mine)


def test_a_classifier_answers_nothing(db: Engine, open_page: Open) -> None:
    page = open_page("experiment", id=import_record(db, classified(), "imported"), tab="quality")
    assert "Answers side by side" not in [s.value for s in page.subheader] and "greedy" not in texts(page)
