"""The form: what is chosen is what is queued, once, and what is wrong is said before anything is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from db import listing, liveness, queries
from db.filter import Filter
from db.records import import_record
from engine import api
from engine.devices import Device
from engine.presets import load_spec
from tests.dashboard.conftest import finished, texts

Open = Callable[..., AppTest]


@pytest.fixture
def form(db: Engine, open_page: Open) -> AppTest:
    """The form with a model that needs nothing fetched, and no variants."""
    page = open_page("new_experiment")
    page.selectbox(key="new_model").select("tiny-llama").run()
    for button in [b for b in page.button if b.key and b.key.startswith("new_remove_")]:
        page.button(key=button.key).click().run()
    return page


def tick(page: AppTest, *names: str, label: str = "Add as one variant") -> None:
    for name in names:
        page.checkbox(key=f"new_use_{name}").check().run()
    next(b for b in page.button if b.label == label).click().run()


def only_record(db: Engine) -> dict[str, Any]:
    (row,) = listing.experiments(db, Filter()).to_dict("records")
    record = queries.record(db, row["id"])
    assert record is not None
    return record


def test_a_control_and_early_looks_are_asked_for_by_ticks_and_stay_ticked(db: Engine, form: AppTest, open_page: Open) -> None:
    tick(form, "bfloat16")
    form.checkbox(key="new_control").check().run()
    assert "control: it needs at least 5 rounds, there are 3" in texts(form) and form.button(key="new_run").disabled
    form.number_input(key="new_rounds").set_value(10).run()
    form.checkbox(key="new_stop_early").check().run()
    assert "At most **30 runs**: 3 variants x 10 rounds" in texts(form)
    form.button(key="new_run").click().run()
    record = only_record(db)
    assert [v["name"] for v in record["variants"]] == ["baseline", "bfloat16", "baseline, again"]
    assert (record["experiment"]["spec"]["control"], record["experiment"]["spec"]["stop_early"]) == (True, True)
    again = open_page("new_experiment", **{"from": record["experiment"]["id"]})
    assert again.checkbox(key="new_control").value and again.checkbox(key="new_stop_early").value
    assert [v["name"] for v in again.session_state["new_variants"]] == ["baseline", "bfloat16"], "the control is its tick, not a variant"


def test_what_is_chosen_is_queued_and_opened(db: Engine, form: AppTest) -> None:
    form.text_input(key="new_title").input("My title").run()
    form.checkbox(key="new_use_bnb_4bit").check().run()
    form.selectbox(key="new_technique_bnb_4bit.quant_type").select("fp4").run()
    tick(form, "float16", "bnb_4bit")
    tick(form, "bfloat16", "kv_cache", label="Add one variant each")
    form.text_input(key="new_workload_generation.new_tokens").input("7").run()
    form.text_input(key="new_workload_generation.batch_sizes").input("4, 1").run()
    assert "**12 runs**: 4 variants x 3 rounds" in texts(form)
    form.button(key="new_run").click().run()
    assert not form.exception
    record = only_record(db)
    assert record["experiment"]["title"] == "My title"
    assert [v["name"] for v in record["variants"]] == ["baseline", "float16 + bnb_4bit(quant_type=fp4)", "bfloat16", "kv_cache"]
    assert record["variants"][1]["stack"][1] == {"technique": "bnb_4bit", "options": {"quant_type": "fp4"}}
    options = record["experiment"]["spec"]["workload"]["options"]
    assert (options["new_tokens"], options["batch_sizes"]) == ([7], [4, 1])


@pytest.mark.case("T06")
def test_a_double_click_queues_once(db: Engine, form: AppTest) -> None:
    tick(form, "bfloat16")
    key = form.session_state["new_request"]
    form.button(key="new_run").click().run()
    assert queries.count_experiments(db) == 1
    spec = load_spec("quickstart", {"model": "tiny-llama"})
    assert api.submit(db, spec, request_key=key) == only_record(db)["experiment"]["id"], "the second click of the same form"


def test_a_second_click_that_arrives_after_the_page_has_changed_queues_nothing(db: Engine, form: AppTest) -> None:
    tick(form, "bfloat16")
    form.session_state["page_before"] = "experiment"
    key = form.session_state["new_request"]
    form.button(key="new_run").click().run()
    spec = load_spec("quickstart", {"model": "tiny-llama"})
    assert api.submit(db, spec, request_key=key) == only_record(db)["experiment"]["id"]


@pytest.mark.parametrize(("widget", "value", "message"), [
    ("new_workload_generation.batch_sizes", "0", "batch_sizes"),
    ("new_workload_generation.batch_sizes", "one", "is not a list of whole numbers; write for example 1, 4, 8"),
    ("new_title", "", "title"),
])  # fmt: skip
@pytest.mark.case("T42")
def test_what_is_wrong_is_said_and_cannot_be_run(db: Engine, form: AppTest, widget: str, value: str, message: str) -> None:
    tick(form, "bfloat16")
    form.text_input(key=widget).input(value).run()
    assert message in texts(form)
    assert form.button(key="new_run").disabled
    assert [v["name"] for v in form.session_state["new_variants"]] == ["bfloat16"], "nothing that was chosen is lost"


@pytest.mark.parametrize(("model", "message"), [
    ("../../etc", "unknown model '../../etc'"), ("local:../../etc", "is not a model name"), ("hub:gpt2", "needs the 40-digit commit"),
    ("local:nothing", "there is no model directory 'nothing'"),
])  # fmt: skip
@pytest.mark.case("T29")
def test_model_names_that_cannot_be(db: Engine, form: AppTest, model: str, message: str) -> None:
    form.selectbox(key="new_model").select("another model").run()
    form.text_input(key="new_model_text").input(model).run()
    assert message in texts(form)
    assert form.button(key="new_run").disabled


def test_a_model_that_is_not_there_says_how_to_get_it(db: Engine, open_page: Open) -> None:
    page = open_page("new_experiment")
    assert "smollm2-135m has not been fetched: python -m engine.bundled" in texts(page)
    assert page.button(key="new_run").disabled


def test_two_of_one_slot_and_nothing_at_all_are_refused(db: Engine, form: AppTest) -> None:
    tick(form)
    assert "Tick at least one technique first." in texts(form)
    tick(form, "float16", "bfloat16")
    assert "both set the 'precision' slot" in texts(form)


def test_a_gpu_of_another_machine_can_be_chosen_and_its_reasons_are_shown(db: Engine, open_page: Open) -> None:
    gpu = Device("cuda:0", "cuda", "a GPU far away", "there", 80 * 2**30, (9, 0), "GPU-1")
    liveness.announce(db, "s", machine="there", pid=1, devices=[gpu.to_json()], availability=api.availability([gpu]))
    page = open_page("new_experiment")
    page.selectbox(key="new_device").select("there/cuda:0").run()
    assert "CPUs only" in texts(page)
    assert page.checkbox(key="new_use_torch_dynamic_int8").disabled
    assert not page.checkbox(key="new_use_bnb_int8").disabled or "bitsandbytes" in texts(page)


def test_an_experiment_can_be_run_again_with_changes(db: Engine, open_page: Open) -> None:
    experiment = import_record(db, finished(), "imported")
    page = open_page("new_experiment", **{"from": experiment})
    assert page.text_input(key="new_title").value == "An experiment again"
    assert page.session_state["new_rounds"] == 5


def test_a_set_of_texts_that_is_not_here_says_how_to_get_it_and_cannot_be_run(form: AppTest) -> None:
    form.selectbox(key="new_preset").select("int8-vs-fp32-sst2").run()
    assert not form.exception
    assert "dataset: sst2 has not been fetched; run: python -m engine.bundled sst2, which needs the Hugging Face hub" in texts(form)
    assert form.button(key="new_run").disabled


def near(page: AppTest) -> list[str]:
    """What is said right below a field."""
    return [m.value.replace("\\", "") for m in page.markdown if m.value.startswith(":red[")]


def test_a_clone_says_what_it_came_from_and_what_differs_by_now(db: Engine, open_page: Open) -> None:
    experiment = import_record(db, finished(), "imported")
    page = open_page("new_experiment", **{"from": experiment})
    assert "Cloned from **An experiment**: no changes" in texts(page)
    page.number_input(key="new_rounds").set_value(7).run()
    page.button(key="new_remove_huge").click().run()
    words = texts(page)
    assert "Cloned from **An experiment**: 2 changes" in words
    assert "• rounds: 7 instead of 5" in words and "• without huge" in words


def test_a_link_may_ask_for_one_change(db: Engine, open_page: Open) -> None:
    experiment = import_record(db, finished(), "imported")
    page = open_page("new_experiment", **{"from": experiment, "change": "smaller"})
    assert "• workload prompt tokens: 64 instead of 128" in texts(page)
    assert page.text_input(key="new_title").value == "An experiment, smaller"


@pytest.mark.parametrize(("asked", "said"), [
    ({"from": "deleted-experiment-001"}, "there is no experiment deleted-experiment-001; it may have been deleted"),
    ({"from": "../x"}, "there is no experiment ../x"),
    ({"preset": "none-such"}, "preset=none-such is not one of quickstart"),
])  # fmt: skip
def test_what_a_link_asks_in_vain_is_said_and_the_form_is_filled_as_usual(db: Engine, open_page: Open, asked: dict[str, str], said: str) -> None:
    page = open_page("new_experiment", **asked)
    assert said in texts(page)
    assert page.text_input(key="new_title").value == "Quickstart"


def test_a_change_that_cannot_be_made_leaves_the_clone(db: Engine, open_page: Open) -> None:
    experiment = import_record(db, finished(), "imported")
    page = open_page("new_experiment", **{"from": experiment, "change": "rm"})
    assert "change=rm: change: 'rm' is not known" in texts(page)
    assert [v["name"] for v in page.session_state["new_variants"]] == ["float32", "small", "huge"]


def test_a_preset_is_found_by_its_link_and_by_its_list(db: Engine, open_page: Open) -> None:
    page = open_page("new_experiment", preset="qlora")
    assert page.text_input(key="new_title").value == next(p for p in api.presets() if p["name"] == "qlora")["title"]
    assert "From **the preset qlora**" in texts(page)
    assert len(page.selectbox(key="new_preset").options) == len(api.presets()) + 1
    assert "Text generation: Quickstart (quickstart)" in page.selectbox(key="new_preset").options
    page.selectbox(key="new_preset").select("empty").run()
    assert page.session_state["new_variants"] == [] and "From **" not in texts(page)


@pytest.mark.parametrize(("widget", "value", "said"), [
    ("new_workload_generation.batch_sizes", "0", "Input should be greater than or equal to 1 (given: 0)"),
    ("new_workload_generation.batch_sizes", "one", "'one' is not a list of whole numbers; write for example 1, 4, 8"),
    ("new_title", "", "String should have at least 1 character (given: '')"),
])  # fmt: skip
def test_what_is_wrong_is_said_at_its_field(form: AppTest, widget: str, value: str, said: str) -> None:
    form.text_input(key=widget).input(value).run()
    assert near(form) == [f":red[:material/error: {said}]"]


def test_two_options_of_a_workload_have_their_own_words(form: AppTest) -> None:
    form.text_input(key="new_workload_generation.batch_sizes").input("0").run()
    form.text_input(key="new_workload_generation.new_tokens").input("0").run()
    assert len(near(form)) == 2


def test_techniques_follow_the_workload(form: AppTest) -> None:
    assert form.checkbox(key="new_use_lora").disabled and not form.checkbox(key="new_use_kv_cache").disabled
    form.checkbox(key="new_use_kv_cache").check().run()
    form.selectbox(key="new_workload").select("training_step").run()
    assert not form.checkbox(key="new_use_lora").disabled and form.checkbox(key="new_use_kv_cache").disabled
    assert not form.checkbox(key="new_use_kv_cache").value, "what can no longer run is not ticked"
    assert form.checkbox(key="new_use_bnb_4bit").disabled and "add an adapter, lora for example" in texts(form)
    form.checkbox(key="new_use_lora").check().run()
    assert not form.checkbox(key="new_use_bnb_4bit").disabled
    tick(form, "bnb_4bit")
    assert [v["name"] for v in form.session_state["new_variants"]] == ["bnb_4bit + lora"]


def test_memory_of_each_variant_is_predicted_before_anything_is_queued(db: Engine, open_page: Open) -> None:
    gpu = Device("cuda:0", "cuda", "a small GPU", "there", 14 * 2**30, (9, 0), "GPU-1")
    liveness.announce(db, "s", machine="there", pid=1, devices=[gpu.to_json()], availability={"cuda:0": {}})
    page = open_page("new_experiment", preset="gpu-decode")
    page.selectbox(key="new_model").select("llama-7b").run()
    words = texts(page)
    assert "a small GPU has" in words and "✔ fits" in words and "⊘ predicted not to fit" in words


def test_the_form_has_a_twin_as_file_and_command(form: AppTest) -> None:
    tick(form, "bfloat16")
    form.session_state["new_twin"] = True
    form.run()
    codes = [c.value for c in form.code]
    assert "model: tiny-llama" in codes[0] and "python -m engine submit experiment.yaml" in codes[1]
