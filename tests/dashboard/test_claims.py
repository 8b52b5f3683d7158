"""The page of the claims: verdicts in words, filters, own results beside the references, and the button that queues the experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from dashboard import claims as frames
from db import listing, queries
from db.filter import Filter
from db.records import import_record
from engine import api, references
from engine.answers.claims import claims, experiment
from engine.devices import Device
from engine.specs import ExperimentSpec
from tests.dashboard.conftest import HOSTILE, texts
from tests.engine.answers.claim_records import record

Open = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("db")


def table(page: Any) -> Any:
    return page.dataframe[0].value.set_index("Claim")


def test_every_claim_has_a_row_with_its_verdict_in_words(open_page: Open) -> None:
    shown = table(open_page("claims"))
    assert len(shown) == len(claims())
    halves = shown.loc["Mixed precision halves the memory of training."]
    assert halves["Verdict"] == "✖ not reproduced" and halves["Claimed"] == "1.8x to 2.2x less"
    assert halves["Reference: NVIDIA H200"] == "1x · ✖ not reproduced" and "[R] transformers documentation" in halves["Published"]
    assert not any(column.startswith("Here") for column in shown.columns)


def test_a_claim_by_link_says_all_and_links_to_its_experiments(open_page: Open) -> None:
    page = open_page("claims", claim="int8-2x-speed-dynamic-cpu")
    words = texts(page)
    assert "INT8 is twice as fast: PyTorch's dynamic quantization of a classifier on a CPU." in [h.value.replace("\\", "") for h in page.header]
    assert "≈ compatible" in words and "Claimed: 1.8x to 2.2x the speed. In the chapter: closing table" in words and "[R] pytorch/tutorials" in words
    behind = page.dataframe[1].value
    assert behind["Measured (95 % interval)"][0] == "2.17x (1.86x to 2.52x)" and behind["Rounds"][0] == 3
    assert any("FP32 against INT8 on a classifier" in str(link.proto.label).replace("\\", "") for link in page.get("page_link"))


def test_filters(open_page: Open) -> None:
    page = open_page("claims")
    page.button_group(key="claim_verdicts").set_value(["not comparable", "estimate only"]).run()
    assert set(table(page)["Verdict"]) == {"? not comparable", "… estimate only"}
    page.selectbox(key="claim_topic").select("Sizes").run()
    assert "No claim is like that." in texts(page)


@pytest.mark.parametrize("claim", ["../../etc/passwd", "no-such-claim", HOSTILE])
def test_a_link_to_no_claim_shows_the_first(open_page: Open, claim: str) -> None:
    page = open_page("claims", claim=claim)
    assert page.selectbox(key="claim_id").value == claims()[0].id


def test_own_results_have_their_own_column_and_text_of_others_stays_text(db: Engine, open_page: Open) -> None:
    made = record("weight_bytes", [5e8], [4e8], stacks=(["float32"], ["bfloat16"]), hardware="My CPU")
    made["experiment"]["title"] = HOSTILE
    import_record(db, made, "local")
    page = open_page("claims", claim="llama-7b-16-bit-halves")
    shown = table(page)
    assert shown.loc["16 bit takes half of the memory of float32."]["Here: My CPU"] == "1.25x · ✖ not reproduced"
    assert list(shown.columns).index("Here: My CPU") < list(shown.columns).index("Reference: NVIDIA H200")
    assert page.dataframe[1].value["Hardware"][0] == "Here: My CPU"


def test_a_new_result_shows_at_once(db: Engine, open_page: Open) -> None:
    page = open_page("claims", claim="gpt2-float32-0-5-gb")
    assert "**– not measured**: no such run yet" in texts(page)
    made = record("weight_bytes", [4.98e8], [2.5e8], stacks=(["float32"], ["bfloat16"]))
    made["experiment"]["spec"]["model"] = {"source": "shape", "name": "gpt2", "revision": None}
    import_record(db, made, "local")
    page.run()
    assert "✔ reproduced" in texts(page) and page.dataframe[1].value["Measured (95 % interval)"][0] == "498 MB"


def test_the_button_queues_exactly_the_experiment_that_settles_it_and_a_double_click_one_only(db: Engine, open_page: Open) -> None:
    page = open_page("claims", claim="gpt2-float32-0-5-gb")
    key = page.session_state["claim_request_gpt2-float32-0-5-gb"]
    page.button(key="claim_queue").click().run()
    assert not page.exception
    queued = listing.experiments(db, Filter())
    assert len(queued) == 1 and queued["queued"][0] == 1
    found = queries.record(db, queued["id"][0])
    wanted = experiment(next(c for c in claims() if c.id == "gpt2-float32-0-5-gb"))
    assert found is not None and wanted is not None
    assert ExperimentSpec.model_validate(found["experiment"]["spec"]) == wanted
    assert page.title[0].value.replace("\\", "") == wanted.title, "it leads to the experiment"
    assert api.submit(db, wanted, request_key=key) == queued["id"][0]


def test_what_cannot_run_here_is_refused_with_its_reason(db: Engine, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.devices.local_devices", lambda: [Device("cpu", "cpu", "a CPU", "here", 2**35)])
    page = open_page("claims", claim="amp-halves-memory")
    assert "Its experiment cannot run here: it needs a device 'cuda', and none is offered here" in texts(page)
    assert page.button(key="claim_queue").disabled
    page = open_page("claims", claim="gpt3-sizes")
    assert "No experiment settles it: its weights are not public" in texts(page)
    assert queries.count_experiments(db) == 0


def test_a_record_of_another_version_leaves_the_page_whole(db: Engine, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    made = record("weight_bytes", [5e8], [4e8], stacks=(["float32"], ["bfloat16"]))
    import_record(db, made, "local")

    def unreadable(*_: Any, own: bool, **__: Any) -> Any:
        if own:
            raise ValueError("metric: unknown")
        return frames.Evidence()

    monkeypatch.setattr(frames, "evidence", unreadable)
    assert len(table(open_page("claims"))) == len(claims())


def test_a_broken_reference_is_left_out(open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "broken.json").write_text("{")
    monkeypatch.setattr(references, "FOLDER", tmp_path)
    assert "– not measured" in set(table(open_page("claims"))["Verdict"])
