"""The planner's page: a question from the address, what it answers, what it refuses, and the way into the form; predictions elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from dashboard import planning
from dashboard.charts import plan as chart
from dashboard.experiment.predicted import prediction_table
from dashboard.new import draft
from db.records import import_record
from engine import analysis
from engine.bundle import load_bundle
from engine.devices import Device
from engine.planning.plan_request import answer, request
from engine.planning.planned import predictions
from engine.settings import REPOSITORY
from tests.dashboard.conftest import HOSTILE, texts

Open = Callable[..., Any]
QLORA = {"model": "llama-13b", "techniques": "bnb_4bit(double_quant=False) + lora", "workload": "training_step", "batch": "4", "memory": "24GiB"}


def test_the_usual_question_has_an_answer_and_the_short_address(db: Engine, open_page: Open) -> None:
    page = open_page("planner")
    words = texts(page)
    assert "It fits" in words and "Predicted peak of baseline on each GPU" in words and "Largest batch" in words
    assert dict(page.query_params) == {}
    assert {frame.value.columns[0] for frame in page.dataframe} == {"Component", "Model"}


def test_a_question_from_the_address_stays_in_it(db: Engine, open_page: Open) -> None:
    page = open_page("planner", **QLORA)
    assert "It does not fit" in texts(page) and "24GiB has 23.5 GiB for it" in texts(page)
    assert {name: "".join(value) for name, value in page.query_params.items()} == QLORA
    page.selectbox(key="plan_memory").select("H200").run()
    assert "It fits" in texts(page) and "".join(page.query_params["memory"]) == "H200"


def test_sharing_among_gpus(db: Engine, open_page: Open) -> None:
    page = open_page("planner", workload="training_step", techniques="bfloat16", batch="8", gpus="8", parallelism="fsdp")
    assert "bfloat16 + fsdp(processes=8)" in texts(page)
    page.number_input(key="plan_batch").set_value(3).run()
    assert "batch_sizes: 3 sequences cannot be dealt out evenly to 8" in texts(page)


@pytest.mark.parametrize("params", [{"model": HOSTILE}, {"batch": "-1"}, {"gpus": "99"}, {"memory": "H10"}, {"techniques": "(("}, {"workload": "x"}])
def test_an_impossible_link_falls_back_and_says_so(db: Engine, open_page: Open, params: dict[str, str]) -> None:
    words = texts(open_page("planner", **params))
    assert f"The link asked for what is not possible: {next(iter(params))}=" in words and "Largest batch" in words


def test_what_makes_no_sense_is_one_message(db: Engine, open_page: Open) -> None:
    page = open_page("planner", techniques="float16 + float32")
    assert "both set the 'precision' slot" in texts(page)
    assert "has no memory formula" in texts(open_page("planner", techniques="onnxruntime"))


def test_measure_this_opens_the_form_with_it(db: Engine, open_page: Open) -> None:
    page = open_page("planner", **QLORA)
    next(b for b in page.button if b.label == "Measure this").click().run()
    assert not page.exception
    assert page.title[0].value == "New experiment"
    assert page.session_state["new_model"] == "llama-13b" and page.session_state["new_workload"] == "training_step"
    assert page.session_state["new_baseline"] == "bnb_4bit(double_quant=False) + lora"


def test_an_address_gives_the_question_back() -> None:
    wanted = request(model="gpt2", techniques=["kv_cache(mode=off)", "float16"], batch=3, memory="T4")
    given = planning.address(wanted)
    assert given == {"model": "gpt2", "techniques": "kv_cache(mode=off) + float16", "batch": "3", "memory": "T4"}
    assert request(**{**given, "techniques": given["techniques"].split(" + ")}) == wanted


def test_bar_and_table_hold_the_same_numbers() -> None:
    found = answer(request(model="llama-7b", techniques=["float16"], memory="24GiB"))
    figure = chart.plan_bar(found, dark=False)
    drawn = {trace.name: trace.x[0] for trace in figure.data}
    assert sum(drawn.values()) == pytest.approx(found["peak_memory_bytes"] / 2**30)
    assert drawn["weights"] == pytest.approx(found["components"]["weights_bytes"] / 2**30)
    table = planning.components_table(found)
    assert list(table["Component"])[-1] == "peak" and "12.6 GiB" in list(table["Memory on each GPU"])
    assert {shape.x0 for shape in figure.layout.shapes} == {found["gpu"]["usable_bytes"] / 2**30, found["needed_bytes"] / 2**30}


def test_an_experiment_shows_predictions_beside_its_peaks(db: Engine, open_page: Open) -> None:
    record = load_bundle(REPOSITORY / "experiments" / "reference" / "train-qlora-llama-13b-h200.json")
    page = open_page("experiment", id=import_record(db, record, "reference"), tab="memory")
    assert "Predicted and measured peak" in texts(page)
    table = prediction_table(predictions(record, analysis.rows(record)))
    shown = next(f.value for f in page.dataframe if "Predicted" in f.value.columns)
    assert shown.equals(table)
    assert "⊘ did not fit (out of memory)" in set(table["Measured"])


def test_an_experiment_on_a_cpu_has_none(db: Engine, experiment: str, open_page: Open) -> None:
    assert "Predicted and measured peak" not in texts(open_page("experiment", id=experiment))


def test_the_form_warns_of_variants_that_will_not_fit(db: Engine, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Device("cuda:0", "cuda", "a small GPU", "there", 20 * 10**9, (9, 0))
    monkeypatch.setattr("engine.devices.offered", lambda *_: [small])
    page = open_page("new_experiment")
    page.selectbox(key="new_model").select("llama-7b").run()
    page.selectbox(key="new_device").select("cuda").run()
    page.selectbox(key="new_baseline").select(draft.AS_STORED).run()
    assert "float32: predicted not to fit from batch 1" in texts(page)
    assert not page.exception
