"""Tables: quality stands beside speed, and a missing number says why it is missing."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard import tables
from engine.analysis import summary
from engine.decisive import Decisive
from engine.flips import flips
from engine.registry import discover
from tests.dashboard.conftest import classified, finished

GENERATION = Decisive(discover().workloads["generation"].decides)


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return summary(finished())


def test_the_headline_has_all_variants_and_their_quality(found: pd.DataFrame) -> None:
    table = tables.headline(found, None, GENERATION).set_index("Variant")
    assert list(table.index) == ["float32", "small", "huge"]
    assert "▲ better" in table.loc["small", "Decode throughput"]
    assert "▼ worse" in table.loc["small", "Perplexity"]
    assert table.loc["huge", "Decode throughput"] == "⊘ did not fit"
    assert table.loc["huge", "Perplexity"] == "✖ failed"


def test_a_point_is_taken_where_it_exists(found: pd.DataFrame) -> None:
    batch_4 = next(p for p in found["point_label"] if "batch=4" in p)
    table = tables.headline(found, batch_4, GENERATION).set_index("Variant")
    assert table.loc["small", "Decode throughput"] == "⊘ did not fit"
    assert table.loc["small", "Weights"].startswith("95.4 MiB"), "weights have no batch"


def test_speed_is_never_shown_without_quality(found: pd.DataFrame) -> None:
    table = tables.verdicts(found, "speed", "perplexity")
    assert set(table["Metric"]) == {"Time to first token", "Decode throughput"}
    assert all(table["Perplexity of it"].str.len() > 0)
    without = found[found["metric"] != "perplexity"]
    assert set(tables.verdicts(without, "speed", "perplexity")["Perplexity of it"]) == {tables.STATUS["not measured"]}


def test_every_row_of_the_summary_is_in_the_table(found: pd.DataFrame) -> None:
    assert len(tables.verdicts(found, None, "perplexity")) == len(found)
    kinds = [kind for kind in tables.KINDS.values() if kind]
    assert sum(len(tables.verdicts(found, kind, "perplexity")) for kind in kinds) == len(found)


def test_fidelity_of_the_baseline_is_itself(found: pd.DataFrame) -> None:
    table = tables.fidelity(found).set_index("Variant")
    assert table.loc["float32", "KL divergence to the baseline"] == "is the baseline"
    assert table.loc["small", "KL divergence to the baseline"] == "0.25"
    assert table.loc["small", "Top-1 agreement with the baseline"] == "75.0 %"


def test_runs_carry_their_reasons() -> None:
    record = finished()
    record["runs"][0] |= {"status": "running", "cancel": True}
    table = tables.runs(record)
    assert len(table) == len(record["runs"])
    assert table.loc[0, "Status"] == "◼ cancelling"
    assert set(table[table["Variant"] == "huge"]["Reason"]) == {"cuda: tried to allocate 20 GiB", "signal 11"}


@pytest.mark.parametrize(("stack", "text"), [
    ([], "the model as stored"),
    ([{"technique": "bfloat16", "options": {}}, {"technique": "kv_cache", "options": {"mode": "off"}}], "bfloat16 + kv_cache(mode=off)"),
])  # fmt: skip
def test_stacks_in_words(stack: list[dict[str, object]], text: str) -> None:
    assert tables.options_text(stack) == text


def test_changed_predictions_are_counted_and_right_answers_lost_and_gained() -> None:
    record = classified()
    table = tables.fidelity(summary(record)).set_index("Variant")
    assert table.loc["fp32", "Accuracy"] == "80.0 %" and table.loc["fp32", "Same predictions as the baseline"] == "is the baseline"
    assert table.loc["int8", "Same predictions as the baseline"] == "83.3 % (10 of 60 changed)"
    (row,) = tables.flips(flips(record)).to_dict("records")
    assert (row["Variant"], row["Quality"], row["Examples"], row["Right in both"]) == ("int8", "Accuracy", 60, 39)
    assert (row["Right in the baseline alone"], row["Right in the variant alone"], row["McNemar's p"]) == (9, 1, "0.021")
