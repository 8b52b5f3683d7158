"""Compare: what differs and the verdicts first, every control in the address, and a clean session that shows the identical view."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard.comparing.shown import TABS
from db import queries
from db.records import import_record
from engine.references import import_references
from tests.dashboard.conftest import HOSTILE, classified, finished, texts
from tests.records import build_record

Open = Callable[..., Any]


def on(record: dict[str, Any], device: str) -> dict[str, Any]:
    record["environments"]["e" * 64] |= {"device": device, "device_kind": "cuda", "device_memory_bytes": 2 * 10**9}
    return record


@pytest.fixture
def three(db: Engine) -> list[str]:
    """Two experiments under the same conditions, and one on another device."""
    made = [(finished("First", "first-experiment"), "H100"), (finished("Second", "second-experiment"), "H100"), (finished("Third", "third-experiment"), "H200")]
    return [import_record(db, on(record, device), "imported") for record, device in made]


def address(page: AppTest) -> dict[str, str]:
    return {name: found[0] if isinstance(found, list) else found for name, found in page.query_params.items()}


def verdicts(page: AppTest) -> Any:
    return page.dataframe[0].value.set_index(page.dataframe[0].value.columns[0])


def seen(page: AppTest) -> dict[str, Any]:
    """All that a visitor sees: numbers of the charts, rows of the tables, words, and the state of every control."""
    controls = {kind: {w.key: w.value for w in getattr(page, kind) if w.key} for kind in ("selectbox", "toggle", "segmented_control")}
    return {
        "charts": [json.loads(c.proto.spec) for c in page.get("plotly_chart")], "tables": [d.value.to_dict() for d in page.dataframe],
        "words": texts(page), "controls": controls, "tab": page.session_state["compare_tab"],
        "buttons": [(b.key, b.label) for b in page.button],
    }  # fmt: skip


def test_nothing_chosen_suggests_three_comparisons_that_the_data_can_answer(three: list[str], open_page: Open) -> None:
    page = open_page("compare")
    suggested = [b for b in page.button if b.key and b.key.startswith("suggestion_")]
    assert len(suggested) == 3
    labels = [b.label.replace("\\", "") for b in suggested]
    assert labels[0].startswith("What is best of small, huge, against float32?")
    assert any("on both devices" in text for text in labels) and any("together" in text for text in labels)
    devices = next(b for b in suggested if "on both devices" in b.label)
    devices.click().run()
    assert address(page)["split"] == "device" and len(address(page)["variants"].split(",")) >= 2
    assert page.segmented_control(key="compare_split").value == "device"
    assert not page.exception and len(page.get("plotly_chart")) == 1


def test_an_empty_installation_has_a_next_step(db: Engine, open_page: Open) -> None:
    assert "Choose variants of one or several experiments" in texts(open_page("compare"))


def test_the_projects_own_results_are_enough_for_suggestions(db: Engine, open_page: Open) -> None:
    import_references(db)
    page = open_page("compare")
    assert len([b for b in page.button if b.key and b.key.startswith("suggestion_")]) == 3
    page.button(key="suggestion_2").click().run()
    assert not page.exception and len(page.get("plotly_chart")) == 1


def test_one_variant_stands_against_its_natural_baseline(experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.1")
    assert list(verdicts(page).columns) == ["★ float32", "small"]
    assert verdicts(page).loc["Decode throughput", "small"] == "60 tok/s (59.4 tok/s to 61.1 tok/s) · +100 % · ▲ better"
    assert "float32 was not chosen; it is here as the baseline, of An experiment." in texts(page)
    assert "All of one experiment: measured in turn, compared round by round." in texts(page)


def test_more_than_twelve_are_too_many(db: Engine, open_page: Open) -> None:
    page = open_page("compare", variants=",".join(f"some-experiment.{i}" for i in range(13)))
    assert "13 variants are more than a reader can tell apart. Choose at most 12" in texts(page)
    assert not page.dataframe and not page.get("plotly_chart")


def test_equal_conditions_are_green_and_compared_through_the_baselines(three: list[str], open_page: Open) -> None:
    page = open_page("compare", variants=f"{three[0]}.0,{three[1]}.1")
    assert [s.value for s in page.success] == ["Same model, device, driver, torch, baseline stack and workload."]
    assert verdicts(page).loc["Decode throughput", "small"].endswith("+100 % · ▲ better")


def test_what_differs_is_named_and_stops_the_verdicts_until_they_are_split(three: list[str], open_page: Open) -> None:
    page = open_page("compare", variants=f"{three[0]}.1,{three[2]}.1")
    assert "device: H100 (First); H200 (Third)" in texts(page)
    assert verdicts(page).loc["Decode throughput", "small (Third)"] == "60 tok/s (59.4 tok/s to 61.1 tok/s) · ? not comparable"
    page.segmented_control(key="compare_split").select("device").run()
    table = verdicts(page)
    assert list(table.columns) == ["★ float32 (First)", "small (First)", "★ float32 (Third)", "small (Third)"]
    assert table.loc["Decode throughput", "small (Third)"].endswith("▲ better")
    assert address(page)["split"] == "device"


def test_the_baseline_is_chosen_on_the_page_and_stands_in_the_address(experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.0,{experiment}.1")
    page.selectbox(key="compare_base").select(f"{experiment}.1").run()
    assert list(verdicts(page).columns) == ["★ small", "float32"]
    assert verdicts(page).loc["Weights", "float32"].endswith("+300 % · ▼ worse")
    assert address(page)["base"] == f"{experiment}.1"
    page.selectbox(key="compare_base").select("").run()
    assert list(verdicts(page).columns) == ["★ float32", "small"] and "base" not in address(page)


def test_what_is_the_same_in_all_is_hidden_and_counted(db: Engine, open_page: Open) -> None:
    record = finished()
    for run in record["runs"]:
        run["measurements"] = [m | {"value": 4e8, "samples": [4e8]} if m["metric"] == "weight_bytes" else m for m in run["measurements"]]
    experiment = import_record(db, record, "imported")
    page = open_page("compare", variants=f"{experiment}.0,{experiment}.1")
    assert "Weights" not in verdicts(page).index and "1 metrics are the same in all and hidden: Weights." in texts(page)
    page.toggle(key="compare_only").set_value(False).run()
    assert verdicts(page).loc["Weights", "small"] == "381 MiB · ±0 % · = equivalent" and address(page)["only"] == "0"


def test_a_variant_without_a_measurement_says_why(experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.0,{experiment}.2")
    assert "huge: failed: signal 11." in texts(page) or "huge: did not fit: cuda: tried to allocate 20 GiB." in texts(page)
    assert verdicts(page).loc["Decode throughput", "huge"] == "⊘ did not fit" and verdicts(page).loc["Perplexity", "huge"] == "✖ failed"
    chart = json.loads(page.get("plotly_chart")[0].proto.spec)
    assert any("huge" in a["text"] and "did not fit" in a["text"] for a in chart["layout"]["annotations"])


def test_many_variants_are_rows(three: list[str], open_page: Open) -> None:
    page = open_page("compare", variants=",".join(f"{e}.{i}" for e in three for i in range(3)))
    table = page.dataframe[0].value
    assert table.columns[0] == "Variant" and len(table) == 9 and "Perplexity" in table


def test_missing_ones_are_named_and_the_rest_shows(experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.1,gone-experiment.0,{experiment}.40", base="gone-experiment.7")
    words = texts(page)
    assert f"2 of 3 variants are not here, they may have been deleted: gone-experiment.0, {experiment}.40." in words
    assert "The baseline that was asked for, gone-experiment.7, is not here" in words
    assert list(verdicts(page).columns) == ["★ float32", "small"]
    assert "1 of 1 variants are not here" in texts(open_page("compare", variants="gone-experiment.0"))


EVERYTHING = {
    "split": "device", "only": "0", "point": "batch=4, prompt_tokens=128, new_tokens=64", "x": "ttft_seconds", "y": "weight_bytes", "by": "device",
    "logx": "1", "logy": "1", "front": "0", "change": "ttft_seconds", "sample": "ttft_seconds", "sweep": "decode_tokens_per_second", "quality": "perplexity",
}  # fmt: skip


@pytest.mark.parametrize("tab", TABS)
def test_a_clean_session_shows_the_identical_view(three: list[str], open_page: Open, tab: str) -> None:
    chosen = {"variants": f"{three[0]}.0,{three[0]}.1,{three[2]}.1,{three[0]}.2", "base": f"{three[0]}.1"}
    first = open_page("compare", **chosen, tab=tab)
    moved = set()
    for kind in ("toggle", "segmented_control", "selectbox"):
        for widget in getattr(first, kind):
            name = (widget.key or "").removeprefix("compare_")
            if name in EVERYTHING:
                widget.set_value(EVERYTHING[name] == "1" if kind == "toggle" else EVERYTHING[name])
                moved.add(name)
    assert moved >= {"split", "only", "point"}
    first.run()
    assert not first.exception
    link = address(first)
    assert moved <= link.keys() | {"quality", "sweep"} and link.get("tab", "trade-off") == tab  # of these two there is one only
    assert seen(open_page("compare", **link)) == seen(first)


def test_each_control_changes_what_is_seen(three: list[str], open_page: Open) -> None:
    """So that an identical view means something."""
    plain = {"variants": f"{three[0]}.1,{three[2]}.1,{three[0]}.2"}
    of_tab = {"change": "change", "sample": "samples", "x": "trade-off", "y": "trade-off", "by": "trade-off", "logx": "trade-off", "front": "trade-off"}
    before = {tab: seen(open_page("compare", **plain, tab=tab)) for tab in {"trade-off", *of_tab.values()}}
    for name in ("split", "only", "point", *of_tab):
        tab = of_tab.get(name, "trade-off")
        value = {"front": "0", "logx": "1"}.get(name, EVERYTHING[name])
        assert seen(open_page("compare", **plain, tab=tab, **{name: value})) != before[tab], name


def test_a_link_that_asks_for_what_is_not_here_says_so_and_shows_the_usual(experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.1", x="__class__", point="batch=99", tab="nonsense", logx="maybe")
    words = texts(page)
    assert "The link asked for what is not here" in words
    for asked in ("x=__class__", "point=batch=99", "tab=nonsense", "logx=maybe"):
        assert asked in words
    assert page.selectbox(key="compare_x").value == "weight_bytes"


def test_who_comes_back_to_the_page_finds_it_as_it_was(experiment: str, open_page: Open) -> None:
    page = open_page("compare", variants=f"{experiment}.0,{experiment}.1")
    page.selectbox(key="compare_y").select("ttft_seconds").run()
    for view in ("overview", "compare"):
        for name in list(page.query_params):  # as a browser does on the way to another page
            del page.query_params[name]
        page.switch_page(f"views/{view}.py").run()
    assert page.selectbox(key="compare_y").value == "ttft_seconds" and address(page)["y"] == "ttft_seconds"
    assert list(verdicts(page).columns) == ["★ float32", "small"]


@pytest.mark.parametrize("tab", ["change", "quality", "samples"])
def test_a_classifier_has_all_tabs(db: Engine, open_page: Open, tab: str) -> None:
    experiment = import_record(db, classified(), "imported")
    page = open_page("compare", variants=f"{experiment}.0,{experiment}.1", tab=tab)
    assert verdicts(page).loc["Accuracy", "int8"] == "66.7 % · −17 % · ▼ worse"
    if tab == "quality":
        assert "Accuracy: 1 worse" in texts(page)


def test_samples_are_loaded_by_their_tab_alone(experiment: str, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = queries.record
    monkeypatch.setattr(queries, "record", lambda db, key, samples="quality": asked.append(samples) or real(db, key, samples=samples))
    for tab in TABS:
        asked.clear()
        open_page("compare", variants=f"{experiment}.0,{experiment}.1", tab=tab, y="ttft_seconds" if tab == "change" else "weight_bytes")
        assert ("all" in asked) is (tab == "samples"), tab


def test_an_experiment_of_another_version_is_left_out_with_the_reason(db: Engine, experiment: str, open_page: Open) -> None:
    future = finished("Of the future", "future-experiment")
    future["runs"][0]["measurements"][0]["metric"] = "joules_of_the_future"
    page = open_page("compare", variants=f"{experiment}.1,{import_record(db, future, 'imported')}.1")
    assert "Left out: Of the future: this version does not know the metric joules_of_the_future." in texts(page)
    assert list(verdicts(page).columns) == ["★ float32", "small"]


@pytest.mark.parametrize("tab", ["trade-off", "change", "configuration", "outputs"])
def test_names_that_others_wrote_stay_text(db: Engine, open_page: Open, tab: str) -> None:
    record = finished(HOSTILE, "hostile-experiment")
    record["variants"][1]["name"] = HOSTILE[:100]
    page = open_page("compare", variants=f"{import_record(db, record, 'imported')}.1,{import_record(db, on(finished(), 'GPU'), 'imported')}.1", tab=tab)
    for kind in ("markdown", "caption", "warning", "subheader"):
        assert [e.value for e in getattr(page, kind) if re.search(r"(?<!\\)<img|(?<!\\)!\[", e.value)] == []
    for chart in page.get("plotly_chart"):
        assert "<img" not in chart.proto.spec


def test_timings_that_a_control_refutes_are_said_to_be_unreliable(db: Engine, open_page: Open) -> None:
    steady = [1.0, 1.001, 0.999, 1.0, 1.002]
    timed = {"base": 30.0, "fast": 60.0, "base, again": 33.0}
    record = build_record({name: {"decode_tokens_per_second": [v * s for s in steady]} for name, v in timed.items()}, title="Restless")
    record["experiment"]["spec"]["control"] = True
    restless = import_record(db, record, "imported")
    page = open_page("compare", variants=f"{restless}.1")
    assert "Timings that rest on Restless are unreliable: the baseline measured again differs from itself: decode throughput +10.0 %." in texts(page)
    assert verdicts(page).loc["Decode throughput", "fast"].endswith("⚠ unreliable")


def test_the_usual_baseline_is_named_after_the_first_that_was_chosen(three: list[str], open_page: Open) -> None:
    page = open_page("compare", variants=f"{three[1]}.1,{three[0]}.0", base=f"{three[0]}.0")
    picker = page.selectbox(key="compare_base")
    assert picker.options[0] == "The usual one: the baseline of Second" and list(verdicts(page).columns) == ["★ float32", "small"]
    picker.select("").run()
    assert list(verdicts(page).columns) == ["★ float32 (Second)", "small", "float32 (First)"]
