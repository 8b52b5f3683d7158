"""The queue's page: turns, counts, phase and log of what runs, cancelling, and what to try after a bad end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from db import liveness, queries, queue
from db.filter import Filter
from db.listing import experiments
from engine import api
from engine.presets import parse_spec
from tests.dashboard.conftest import texts
from tests.dashboard.test_overview import links

Open = Callable[..., AppTest]
CPU = queue.Offer("here/cpu", ("cpu", "here/cpu"))


@pytest.fixture(autouse=True)
def scheduler(db: Engine) -> None:
    liveness.announce(db, "s", machine="here", pid=1, devices=[], availability={})


def submit(db: Engine, title: str = "mine", **changes: Any) -> str:
    return api.submit(db, parse_spec({"title": title, "model": "tiny-llama", "rounds": 3, "variants": ["bfloat16"]} | changes))


def end_one(db: Engine, status: str = "succeeded", reason: str | None = None) -> None:
    claim = queue.claim(db, "s", CPU)
    assert claim is not None
    queue.finish(db, claim, status=status, reason=reason, measurements=[], evidence={}, details={}, environment=None,
                 host_peak_bytes=None, log_tail=None, seconds=20.0)  # fmt: skip


def test_each_experiment_has_its_turn_its_counts_and_the_time_it_will_take(db: Engine, open_page: Open) -> None:
    first, _ = submit(db, "first"), submit(db, "second")
    end_one(db)
    end_one(db, "out_of_memory", "20 GiB")
    assert queue.claim(db, "s", CPU) is not None
    page = open_page("queue")
    words, bars = texts(page), [p.proto.text.replace("\\", "") for p in page.get("progress")]
    assert re.fullmatch(r"1 done, 1 running, 3 queued, 1 did not fit, about [67]\d s left", bars[0]) or bars[0].endswith("about 80 s left")
    assert bars[1] == "6 queued, about 2 min left", "as long as those of the same model took"
    assert "it runs now" in words and "position 2, 3 runs are before it" in words and "starts in about" in words
    assert re.search(r"last sign of life \d+ s ago", words)
    assert first in "".join(links(page).values())


def test_a_running_run_shows_its_phase_and_on_request_its_log(db: Engine, open_page: Open) -> None:
    submit(db)
    claim = queue.claim(db, "s", CPU)
    assert claim is not None
    queue.beat(db, claim, phase="warm-up 1 of 3", log_tail="\n".join(f"line {i} <b>" for i in range(500)))
    page = open_page("queue")
    assert "warm-up 1 of 3" in texts(page) and not page.code, "no log is loaded that nobody asked for"
    page.toggle(key=f"log_{claim.run_id}").set_value(True).run()
    lines = page.code[0].value.splitlines()
    assert (len(lines), lines[-1]) == (200, "line 499 <b>")


def test_the_rest_of_an_experiment_is_cancelled_and_said_so(db: Engine, open_page: Open) -> None:
    experiment = submit(db)
    end_one(db)
    page = open_page("queue")
    page.button(key=f"cancel_{experiment}").click().run()
    assert not page.exception and "5 runs are cancelled" in texts(page)
    assert experiments(db, Filter()).iloc[0][["succeeded", "cancelled"]].to_list() == [1, 5]


def test_nothing_is_polled_while_nothing_is_in_the_queue(db: Engine, open_page: Open) -> None:
    assert "Nothing runs and nothing waits" in texts(open_page("queue"))


def failed(db: Engine, status: str, reason: str, **changes: Any) -> str:
    """An experiment of which the second variant ended so in every round."""
    experiment = submit(db, **changes)
    while (claim := queue.claim(db, "s", CPU)) is not None:
        bad = claim.variant == 1
        queue.finish(db, claim, status=status if bad else "succeeded", reason=reason if bad else None, measurements=[], evidence={}, details={},
                     environment=None, host_peak_bytes=None, log_tail=None, seconds=1.0)  # fmt: skip
    return experiment


def test_after_a_failure_the_baseline_and_what_failed_are_retried_once(db: Engine, open_page: Open) -> None:
    experiment = failed(db, "failed", "signal 11: Segmentation fault", variants=["bfloat16", "float16"])
    page = open_page("queue")
    assert "The process was ended from outside**: bfloat16, and 2 more runs" in texts(page)
    page.button(key=f"retry_{experiment}").click().run()
    assert not page.exception and "mine, retry is queued: baseline, bfloat16." in texts(page)
    page.button(key=f"retry_{experiment}").click().run()
    found = experiments(db, Filter())
    assert list(found["title"]) == ["mine, retry", "mine"], "the second click is the same retry"
    record = queries.record(db, found.iloc[0]["id"])
    assert record is not None and {r["status"] for r in record["runs"]} == {"queued"}


@pytest.mark.parametrize(("status", "reason", "headline", "label", "change"), [
    ("out_of_memory", "cuda: tried to allocate 20 GiB", "It did not fit into memory", "Try it smaller", "smaller"),
    ("timed_out", "time limit of 3600 s", "It took longer than its time limit", "Try it with more time", "longer"),
    ("failed", "You are trying to access a gated repo", "The model is gated", "Retry with changes", "failed"),
])  # fmt: skip
def test_what_to_try_opens_the_form_with_the_change(
    db: Engine, open_page: Open, status: str, reason: str, headline: str, label: str, change: str
) -> None:
    experiment = failed(db, status, reason)
    page = open_page("queue")
    assert headline in texts(page) and reason in texts(page)
    assert f"from={experiment}&change={change}" in links(page)[label]
    form = open_page("new_experiment", **{"from": experiment, "change": change})
    assert "Cloned from **mine**" in texts(form)


def test_what_is_not_installed_comes_with_its_command(db: Engine, open_page: Open) -> None:
    failed(db, "failed", "onnxruntime: needs the onnx environment: python -m engine.environments onnx")
    assert [c.value for c in open_page("queue").code] == [".venv/bin/python -m engine.environments onnx"]


def test_a_result_is_not_offered_for_a_retry(db: Engine, open_page: Open) -> None:
    experiment = failed(db, "out_of_memory", "20 GiB")
    assert f"retry_{experiment}" not in [b.key for b in open_page("queue").button]
