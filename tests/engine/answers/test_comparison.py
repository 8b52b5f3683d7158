"""Variants of several experiments as one: what is there, what differs, what it is called, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from engine.answers.comparison import Comparison, Split, side_by_side
from engine.bundle import load_bundle
from engine.cells import cells
from engine.references import FOLDER
from engine.tradeoff import wide
from engine.variant_ref import VariantRef
from tests.engine.answers.test_across import experiment


def ref(text: str) -> VariantRef:
    key, _, position = text.partition(".")
    return VariantRef(key, int(position))


def compare(records: list[dict[str, Any]], *refs: str, base: str | None = None, split: Split = "together") -> Comparison:
    found = side_by_side({r["experiment"]["id"]: r for r in records}, [ref(r) for r in refs], ref(base) if base else None, split)
    assert found is not None
    return found


def on(record: dict[str, Any], device: str) -> dict[str, Any]:
    record["environments"]["e" * 64] |= {"device": device, "device_kind": "cuda", "device_memory_bytes": 80 * 2**30}
    return record


def names(found: Comparison) -> list[str]:
    return [f"{c.name}{'*' * c.baseline}{'+' * c.added}" for c in found.columns]


def test_the_baseline_comes_first_and_is_added_where_nobody_chose_it() -> None:
    records = [experiment("a", {"base": 1, "one": 1.5, "two": 2}), experiment("b", {"plain": 1, "other": 2})]
    assert names(compare(records, "a.1", "b.1")) == ["base*+", "one", "other"]
    assert names(compare(records, "a.1", "a.0")) == ["base*", "one"]
    assert names(compare(records, "a.1")) == ["base*+", "one"], "one alone stands against its natural baseline"
    assert names(compare(records, "a.1", "b.1", base="b.1")) == ["other*", "one"]
    assert names(compare(records, "a.1", base="b.0")) == ["plain*+", "one"], "any variant may be the baseline, chosen or not"
    assert names(compare(records, "a.0")) == ["base*"]


def test_variants_of_one_name_are_told_apart() -> None:
    records = [experiment("a", {"base": 1, "one": 2}), experiment("b", {"base": 1, "one": 3})]
    assert names(compare(records, "a.1", "b.1")) == ["base*+", "one (a)", "one (b)"]
    records[1]["experiment"]["title"] = "a"
    found = compare(records, "a.1", "b.1")
    assert names(found) == ["base*+", "one (a.1)", "one (b.1)"]
    assert {r.variant for r in found.rows} == {c.name for c in found.columns}


def test_what_is_missing_is_named_and_the_rest_shows() -> None:
    found = compare([experiment("a", {"base": 1, "one": 2})], "a.1", "gone.0", "a.9", base="gone.3")
    assert names(found) == ["base*+", "one"]
    assert found.missing == (ref("gone.0"), ref("a.9")) and found.base_missing == ref("gone.3")
    assert side_by_side({}, [ref("gone.0")]) is None and side_by_side({}, []) is None


def test_what_differs_is_said_with_who_has_what() -> None:
    records = [on(experiment(k, {"base": 1, "one": 2}), device) for k, device in (("a", "H100"), ("b", "H200"), ("c", "H100"))]
    found = compare(records, "a.1", "b.1", "c.1")
    assert [str(d) for d in found.differing] == ["device: H100 (a, c); H200 (b)"]
    assert compare(records, "a.1", "c.1").differing == ()
    assert [r.verdict for r in found.rows if r.metric == "decode_tokens_per_second"] == ["baseline", "better", "not comparable", "better"]


def test_each_device_has_a_baseline_of_its_own_when_they_are_split() -> None:
    records = [on(experiment(k, {"base": 1, "one": 2}), device) for k, device in (("a", "H100"), ("b", "H200"), ("c", "H100"))]
    found = compare(records, "a.1", "b.1", "c.1", split="device")
    assert names(found) == ["base (a)*+", "one (a)", "one (c)", "base (b)*+", "one (b)"]
    assert [c.group for c in found.columns] == [0, 0, 0, 1, 1]
    assert [r.verdict for r in found.rows if r.metric == "decode_tokens_per_second"] == ["baseline", "better", "better", "baseline", "better"]
    assert names(compare(records, "a.1", "b.1", base="b.1", split="device")) == ["base*+", "one (a)", "one (b)*"]


def test_what_is_not_only_another_device_is_split_by_its_conditions() -> None:
    records = [experiment(k, {"base": 1, "one": 2}) for k in "ab"]
    records[1]["experiment"]["spec"]["workload"]["options"]["max_warmups"] = 7
    assert [c.group for c in compare(records, "a.1", "b.1", split="device").columns] == [0, 0, 0]
    found = compare(records, "a.1", "b.1", split="conditions")
    assert [c.group for c in found.columns] == [0, 0, 1, 1] and [str(d) for d in found.differing] == ["workload max_warmups: 3 (a); 7 (b)"]


def test_every_column_has_a_word_for_every_metric_and_point_of_its_kind() -> None:
    records = [experiment(k, {"base": 1, "one": 2}) for k in "ab"]
    for run in records[1]["runs"]:
        run["measurements"] = [m for m in run["measurements"] if m["metric"] != "weight_bytes"]
    found = compare(records, "a.1", "b.1")
    row = next(r for r in found.rows if (r.variant, r.metric) == ("one (b)", "weight_bytes"))
    assert (row.value, row.status, row.verdict, row.reason) == (None, "not measured", "not measured", "its experiment did not measure this")
    assert (row.experiment_id, row.position, row.baseline) == ("b", 2, False)


def test_a_column_without_any_value_says_why() -> None:
    lost = {("one", r): {"status": "out_of_memory", "reason": "tried to allocate 20 GiB", "measurements": []} for r in range(5)}
    unsupported = {("one", r): {"status": "unsupported", "reason": "needs a GPU", "measurements": []} for r in range(5)}
    records = [experiment("a", {"base": 1, "one": 2}, runs=lost), experiment("b", {"base": 1, "one": 2}, runs=unsupported)]
    records.append(experiment("c", {"base": 1, "one": 2}) | {"runs": []})
    found = compare(records, "a.0", "a.1", "b.1", "c.1")
    assert [c.why for c in found.columns] == [
        None, "did not fit: tried to allocate 20 GiB", "unsupported: needs a GPU", "not measured: no run of it has ended yet",
    ]  # fmt: skip


def test_it_reads_as_one_experiment() -> None:
    found = compare([experiment("a", {"base": 1, "one": 1.5}), experiment("b", {"base": 1, "other": 2})], "a.1", "b.1")
    assert [len(outcomes) for outcomes in cells(found.record)[0].outcomes] == [5, 5, 5]
    assert [v["name"] for v in found.record["variants"]] == ["base", "one", "other"]
    chart = wide(found.frame(), "weight_bytes", "decode_tokens_per_second")
    assert list(chart["variant"]) == ["base", "one", "other"] and list(chart["baseline"]) == [True, False, False]
    assert chart["y_ratio"].tolist()[1:] == [pytest.approx(1.5), pytest.approx(2)]


def test_experiments_that_were_measured_at_other_points_are_shown_at_the_most_alike() -> None:
    records = [load_bundle(FOLDER / f"llama-7b-{gpu}.json") for gpu in ("h100", "h200")]
    first, second = (r["experiment"]["id"] for r in records)
    found = compare(records, f"{first}.1", f"{second}.1")
    assert {str(d).partition(":")[0] for d in found.differing} == {"device", "workload new_tokens"}
    at = {r.variant: r.point_label for r in found.at("batch=8, prompt_tokens=256, new_tokens=16") if r.metric == "decode_tokens_per_second"}
    assert set(at.values()) == {"batch=8, prompt_tokens=256, new_tokens=16", "batch=8, prompt_tokens=256, new_tokens=24"}
    assert len({(r.position, r.metric) for r in found.at(None)}) == len(found.at(None))
