"""Ceilings in real runs of the child: measured after everything else, and a failure there spoils nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.analysis import rows
from engine.answers.explain import explain
from engine.measurement import RunResult, Status
from engine.record import Record
from engine.specs import ExperimentSpec, RunKind
from tests.experiments.workloads.conftest import spec_of

Run = Callable[..., RunResult]
GENERATION: dict[str, Any] = {"prompt_tokens": 16, "new_tokens": [8], "repeats": 2, "quality_tokens": 256, "quality_context": 128}


def test_a_run_of_the_child_explains_itself(run_all: Callable[[ExperimentSpec], Record]) -> None:
    record = run_all(spec_of("local:tiny-llama", "generation", "bfloat16", **GENERATION))
    speed = [r for r in record["runs"] if r["kind"] == "speed"]
    assert [r["details"]["ceilings"]["dtype"] for r in speed] == ["float32", "bfloat16"]
    assert all(r["details"]["operators_per_token"] > 20 for r in speed)
    base, variant = explain(record, rows(record))
    assert {r.phase for r in base.regimes} == {r.phase for r in variant.regimes} == {"prefill", "decode"}
    for r in base.regimes:
        assert r.flops_share > 0 and r.bytes_share is not None and r.bytes_share > 0
        assert r.launch_share is not None and r.launch_share > 0
    words = " ".join(variant.sentences)
    assert "Decode is " in words and "of the copy bandwidth" in words and "not measured: only GPUs" in words
    assert "greedy tokens are identical" in words or "leaves the baseline's at token" in words


def test_training_has_ceilings_in_the_type_of_its_products(run_all: Callable[[ExperimentSpec], Record]) -> None:
    options: dict[str, Any] = {"seq_len": 32, "batch_sizes": [2], "steps": 2, "quality_steps": 0}
    record = run_all(spec_of("local:tiny-llama", "training_step", "amp_bfloat16", "gradient_checkpointing", **options))
    assert [r["details"]["ceilings"]["dtype"] for r in record["runs"]] == ["float32", "bfloat16", "float32"]
    plain, _, recomputed = (w.regimes[0] for w in explain(record, rows(record)))
    assert plain.phase == "a training step" and plain.flops_share > 0
    by_name = {r.variant: r for r in rows(record) if r.metric == "training_tokens_per_second"}
    per_token = [r.flops / (by_name[name].value or 0) for r, name in ((plain, "baseline"), (recomputed, "gradient_checkpointing"))]
    assert per_token[1] / per_token[0] == pytest.approx(8 / 6), "every block runs forward twice"


def test_a_failure_there_does_not_fail_the_run(run: Run) -> None:
    sabotage = "import engine.ceilings as c; c._copy_rate = lambda device: 1 / 0"
    result = run(spec_of("local:tiny-llama", "generation", **GENERATION), 0, RunKind.SPEED, before=sabotage)
    assert result.status is Status.SUCCEEDED
    assert result.details["ceilings"] == {"not_measured": "ZeroDivisionError: division by zero"}
    assert "decode_tokens_per_second" in {m.metric for m in result.measurements}


def test_a_process_killed_while_it_measures_ceilings_keeps_its_times(run: Run) -> None:
    sabotage = "import engine.ceilings as c, os; c._copy_rate = lambda device: os.kill(os.getpid(), 9)"
    result = run(spec_of("local:tiny-llama", "generation", **GENERATION), 0, RunKind.SPEED, before=sabotage)
    assert result.status is Status.FAILED
    assert "decode_tokens_per_second" in {m.metric for m in result.measurements}
