"""The profile on an experiment's page: the same operators and times as in the trace that was kept, and a word where something is missing."""

from __future__ import annotations

import gzip
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from dashboard.charts import profile as charts
from dashboard.charts import style
from dashboard.words import percent_text
from db import listing, queries
from db.filter import Filter
from db.records import import_record
from engine import artifacts, settings
from engine.devices import find_device
from engine.executor import LocalExecutor
from engine.metrics import format_seconds
from engine.presets import parse_spec
from engine.profiles import Profile, read_profile, trace_file
from engine.record import Record, add_run, new_record
from engine.run_spec import run_spec
from engine.specs import RunKind, expand
from tests.dashboard.conftest import HOSTILE, finished, texts

GPU = Profile(
    what="one step", device="cuda", steps=3, step_seconds=0.01, shares={"matrix_products": 0.5, "memory_bound": 0.2, "launch_and_idle": 0.3},
    operators=[
        {"name": "aten::mm", "calls": 6, "cpu_seconds": 0.001, "device_seconds": 0.02, "memory_bytes": 2048},
        {"name": "aten::mul", "calls": 9, "cpu_seconds": 0.002, "device_seconds": 0.005, "memory_bytes": -512},
    ],
    operators_total=5, cpu_seconds_total=0.004, device_seconds_total=0.025,
    kernels=[{"name": "nvjet_hsh", "calls": 6, "seconds": 0.02}], regions=[{"name": "forward", "calls": 3, "cpu_seconds": 0.004, "device_seconds": 0.01}],
    trace={"absent": "it was 300 MiB large"},
)  # fmt: skip


def with_profiles(*changes: dict[str, Any]) -> Record:
    """The finished experiment with one profile run per variant."""
    record = finished()
    template = record["runs"][0] | {"kind": "profile", "round": 0, "measurements": [], "details": {"profile": GPU.model_dump(mode="json")}}
    record["runs"] += [template | {"variant": position} | change for position, change in enumerate(changes)]
    return record


def measured(tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Training of a tiny model, its profile alone, by the real child."""
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))
    spec = parse_spec({
        "title": "Profiled", "model": "local:tiny", "rounds": 1, "profile": True,
        "workload": {"name": "training_step", "options": {"seq_len": 32, "batch_sizes": [2], "quality_steps": 0}},
    })  # fmt: skip
    record, device, executor = new_record(spec), find_device("cpu"), LocalExecutor()
    (planned,) = [p for p in expand(spec) if p.kind is RunKind.PROFILE]
    handle = executor.start(run_spec(spec, planned, device), settings.runs_dir() / "profile", device=device)
    while (result := executor.poll(handle)) is None:
        time.sleep(0.05)
    assert result.reason is None
    add_run(record, planned, result, device="cpu:here", seconds=1.0, started_at="2026-01-02T03:04:05Z")
    return dict(json.loads(json.dumps(record)))


def self_times(trace: dict[str, Any]) -> dict[str, float]:
    """Operator -> self seconds, counted from the trace alone: each event's duration without those of the events right within it."""
    spent: dict[str, float] = defaultdict(float)
    by_thread: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X" and event.get("cat") in ("cpu_op", "user_annotation"):
            by_thread[event["tid"]].append(event)
    for events in by_thread.values():
        open_: list[dict[str, Any]] = []
        for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
            while open_ and open_[-1]["ts"] + open_[-1]["dur"] <= event["ts"]:
                open_.pop()
            if event["cat"] == "cpu_op":
                spent[event["name"]] += event["dur"] / 1e6
            if open_ and open_[-1]["cat"] == "cpu_op":
                spent[open_[-1]["name"]] -= event["dur"] / 1e6
            open_.append(event)
    return spent


def test_the_page_shows_the_operators_of_the_trace(db: Engine, open_page: Callable[..., Any], tiny_model_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = measured(tiny_model_root, monkeypatch)
    profile = read_profile(record["runs"][0])
    assert isinstance(profile, Profile)
    file = trace_file(settings.artifacts_dir(), profile.trace)
    assert file is not None
    spent = self_times(json.loads(gzip.decompress(file.read_bytes())))
    page = open_page("experiment", id=import_record(db, record, "imported"))
    table: pd.DataFrame = next(t.value for t in page.dataframe if "Self CPU time" in t.value)
    assert len(table) == 30 and "Self GPU time" not in table
    largest = sorted(spent, key=spent.__getitem__, reverse=True)
    assert set(table["Operator"][:5]) == set(largest[:5])
    for operator, shown in zip(profile.operators, table.itertuples(index=False), strict=True):
        assert shown[0] == operator.name
        assert operator.cpu_seconds == pytest.approx(spent[operator.name], rel=0.02, abs=2e-6), operator.name
        assert shown[table.columns.get_loc("Self CPU time")] == format_seconds(operator.cpu_seconds)
    assert profile.cpu_seconds_total == pytest.approx(sum(spent.values()), rel=0.02)
    regions = next(t.value for t in page.dataframe if "What" in t.value)
    assert {"forward", "backward", "optimizer"} <= set(regions["Name"])
    assert "Where the time goes" in [h.value for h in page.header]
    assert f"matrix products {percent_text((profile.shares or {})['matrix_products'])}" in texts(page)
    assert "there is no launch time" in texts(page)
    assert [b.key for b in page.get("download_button")] == ["download_trace"]


def test_without_the_trace_the_page_says_where_it_is(db: Engine, open_page: Callable[..., Any]) -> None:
    elsewhere = {"details": {"profile": GPU.model_dump(mode="json") | {"trace": {"sha256": "ab" * 32, "size_bytes": 5}}}}
    page = open_page("experiment", id=import_record(db, with_profiles(elsewhere), "imported"))
    assert "it stays with the machine that measured where no common place is set (LAB_ARTIFACTS)" in texts(page)
    assert f"artifacts/traces/{'ab' * 32}.json.gz" in [c.value for c in page.code]
    assert not page.get("download_button")


def test_a_trace_of_another_machine_is_downloaded_from_the_common_place(
    db: Engine, open_page: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"profile": GPU.model_dump(mode="json") | {"trace": {"sha256": "ab" * 32, "size_bytes": 5}}}
    monkeypatch.setenv("LAB_ARTIFACTS", f"file://{tmp_path}/common")
    artifacts.publish(elsewhere, b"trace")
    page = open_page("experiment", id=import_record(db, with_profiles({"details": elsewhere}), "imported"))
    assert [b.label for b in page.get("download_button")] == ["Chrome trace (5 B)"]
    monkeypatch.setenv("LAB_ARTIFACTS", "nosuch://place")
    assert "The trace cannot be looked for: nosuch:" in texts(page.run()).replace("\\", "") and not page.exception


def test_every_variant_has_a_profile_or_says_why_not(db: Engine, open_page: Callable[..., Any]) -> None:
    blind = {"details": {"profile": GPU.model_dump(mode="json") | {"shares": None, "shares_not_measured": "another runtime"}}}
    lost = {"status": "out_of_memory", "reason": "cuda: no room", "details": {}}
    page = open_page("experiment", id=import_record(db, with_profiles({}, blind, lost), "imported"))
    words = texts(page)
    assert "No profile of huge: out of memory: cuda: no room" in words
    assert "float32: matrix products 50.0 %, other operators (memory-bound) 20.0 %, launch and idle 30.0 %." in words
    assert "No trace was kept: it was 300 MiB large." in words
    table = next(t.value for t in page.dataframe if "Self GPU time" in t.value)
    assert list(table["Operator"]) == ["aten::mm", "aten::mul"] and list(table["Self GPU time"]) == ["20 ms", "5 ms"]
    assert list(table["Share"]) == ["80.0 %", "20.0 %"] and list(table["Memory taken, net"]) == ["2 KiB", "-512 B"]
    parts = next(t.value for t in page.dataframe if "What" in t.value)
    assert list(parts["Name"]) == ["forward", "nvjet_hsh"] and list(parts["GPU time"]) == ["10 ms", "20 ms"]
    page.selectbox(key="experiment_profile").select("1").run()
    assert not page.exception and "Shares are not measured: another runtime" in texts(page)


def test_a_profile_that_cannot_be_read_spoils_nothing(db: Engine, open_page: Callable[..., Any]) -> None:
    broken = {"details": {"profile": {"what": HOSTILE, "device": "abacus"}}}
    page = open_page("experiment", id=import_record(db, with_profiles(broken), "imported"))
    assert "No profile of float32: not readable by this version" in texts(page)
    assert "experiment_profile" not in [s.key for s in page.selectbox]


def test_without_profiles_there_is_no_section(db: Engine, experiment: str, open_page: Callable[..., Any]) -> None:
    assert "Where the time goes" not in [h.value for h in open_page("experiment", id=experiment).header]


@pytest.mark.parametrize("dark", [False, True])
def test_bars_hold_the_numbers(dark: bool) -> None:
    frame = charts.share_frame({"a": GPU, "b": GPU})
    figure = charts.share_bars(frame, dark=dark)
    assert {t.name: list(t.x) for t in figure.data} == {
        "matrix products": [50, 50], "other operators (memory-bound)": [20, 20], "launch and idle": [pytest.approx(30)] * 2,
    }  # fmt: skip
    assert figure.layout.barmode == "stack" and len({t.marker.pattern.shape for t in figure.data}) == 3
    bars = charts.operator_bars(charts.operator_frame(GPU), "cuda", dark=dark)
    assert {t.name: (list(t.y), list(t.x)) for t in bars.data} == {
        "matrix products": ([0], [pytest.approx(20)]), "other operators (memory-bound)": ([1], [pytest.approx(5)]),
    }  # fmt: skip
    assert list(bars.layout.yaxis.ticktext) == ["mm", "mul"] and bars.layout.xaxis.title.text == "Self GPU time (ms)"
    assert figure.layout.paper_bgcolor == bars.layout.paper_bgcolor == style.theme(dark).background
    assert charts.describe_operators(charts.operator_frame(GPU), GPU).startswith(
        "The largest of 5 operators by self GPU time: aten::mm 80.0 %, aten::mul 20.0 % of 25 ms."
    )


def test_nothing_seen_is_no_error() -> None:
    empty = GPU.model_copy(update={"operators": (), "device_seconds_total": 0.0})
    frame = charts.operator_frame(empty)
    charts.operator_bars(frame, "cuda", dark=False)
    assert charts.describe_operators(frame, empty) == "The profiler saw no operator."
    assert charts.share_frame({"a": empty.model_copy(update={"shares": None})}).empty


def test_names_of_others_are_not_read_as_html() -> None:
    hostile = GPU.model_copy(update={"operators": (GPU.operators[0].model_copy(update={"name": HOSTILE}),)})
    for figure in (charts.operator_bars(charts.operator_frame(hostile), "cuda", dark=False), charts.share_bars(charts.share_frame({HOSTILE: GPU}), dark=False)):
        text = figure.to_json()
        assert "<img" not in text and "\\u003cimg" not in text.lower()


def test_the_form_asks_for_profiles(db: Engine, open_page: Callable[..., Any]) -> None:
    page = open_page("new_experiment")
    page.selectbox(key="new_model").select("tiny-llama").run()
    for button in [b for b in page.button if b.key and b.key.startswith("new_remove_")]:
        page.button(key=button.key).click().run()
    assert "for profile" not in texts(page)
    page.toggle(key="new_profile").set_value(True).run()
    assert "**4 runs**: 1 variants x 3 rounds for speed and memory, and 1 for profile" in texts(page)
    page.button(key="new_run").click().run()
    (row,) = listing.experiments(db, Filter()).to_dict("records")
    record = queries.record(db, row["id"])
    assert record is not None and record["experiment"]["spec"]["profile"] is True
    assert [r["kind"] for r in record["runs"]] == ["speed", "profile", "speed", "speed"]
