"""Runs on the machines of a real Ray cluster: where they run, what comes back, and what becomes of them when something dies."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

import psutil
import pytest
from sqlalchemy import Engine

from db import queries, queue
from engine import artifacts
from tests.engine.cluster.conftest import Cluster, of
from tests.engine.processes import alive, wait_for
from tests.engine.scheduler.lab import LEASE, count_schedulers, enqueue, rows, statuses

Serve = Callable[[], subprocess.Popen[bytes]]
pytestmark = [pytest.mark.faults, pytest.mark.case("T39"), pytest.mark.timeout(600)]


def test_runs_come_back_whole_and_one_experiment_keeps_to_one_machine(cluster: Cluster, db: Engine, serve: Serve) -> None:
    serve()
    bound = {name: enqueue(db, "sleep-10", device=f"{name}/cpu") for name in ("alpha", "beta")}
    free, traced = enqueue(db, "normal", rounds=3), enqueue(db, "traced")
    wait_for(lambda: set(statuses(db)) == {"succeeded"}, 120)
    found = rows(db)
    (first,), (second,) = of(found, bound["alpha"]), of(found, bound["beta"])
    assert (first.device, second.device) == ("alpha/cpu", "beta/cpu")
    assert first.started_at < second.ended_at and second.started_at < first.ended_at, "both at once"
    three = of(found, free)
    assert len({row.device for row in three}) == 1 and {row.log_tail for row in three} == {"all is well\n"}
    assert all(row.evidence["float32"]["facts"] == {"layers": 2} and row.host_peak_bytes > 2**20 for row in three)
    assert sorted(cluster.alpha.started() + cluster.beta.started()) == [f"{row.id}.1" for row in found]
    record = queries.record(db, traced)
    assert record is not None
    sha256 = record["runs"][0]["details"]["profile"]["trace"]["sha256"]
    assert artifacts.read(f"traces/{sha256}.json.gz") == b"a trace"


def test_a_killed_node_process_fails_its_run_once_and_the_next_one_runs(cluster: Cluster, db: Engine, serve: Serve) -> None:
    lost, later = enqueue(db, "sleep-600", device="beta/cpu"), enqueue(db, "normal", device="beta/cpu")
    serve()
    (child,) = wait_for(cluster.beta.pids)
    cluster.beta.actor().kill()
    wait_for(lambda: not alive(child), 3)
    (row,) = wait_for(lambda: [r for r in of(rows(db), lost) if r.status != "running"])
    assert (row.status, row.reason) == ("failed", "worker_lost: the process of the lab on beta ended (SYSTEM_ERROR)")
    wait_for(lambda: of(rows(db), later)[0].status == "succeeded")
    assert cluster.beta.started() == [f"{of(rows(db), e)[0].id}.1" for e in (lost, later)]


def test_a_killed_scheduler_leaves_no_child_and_the_next_one_goes_on(cluster: Cluster, db: Engine, serve: Serve) -> None:
    lost, later = enqueue(db, "sleep-600", device="alpha/cpu"), enqueue(db, "normal", device="alpha/cpu")
    scheduler = serve()
    (child,) = wait_for(cluster.alpha.pids)
    scheduler.send_signal(signal.SIGKILL)
    wait_for(lambda: not alive(child), 3)
    scheduler.wait()
    serve()
    wait_for(lambda: [r.status for r in of(rows(db), lost) + of(rows(db), later)] == ["failed", "succeeded"])
    (row,) = of(rows(db), lost)
    assert row.reason == f"lost: no sign of life from its scheduler for {LEASE:g} s"
    assert len(cluster.alpha.started()) == 2


def test_a_cancelled_run_ends_and_a_stopped_scheduler_ends_its_runs(cluster: Cluster, db: Engine, serve: Serve) -> None:
    cancelled, stopped = enqueue(db, "children-hang", device="alpha/cpu"), enqueue(db, "hang", device="beta/cpu")
    scheduler = serve()
    wait_for(lambda: cluster.alpha.pids() and cluster.beta.pids())
    queue.cancel_experiment(db, cancelled)
    wait_for(lambda: of(rows(db), cancelled)[0].status == "cancelled")
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(60) == 0
    (row,) = of(rows(db), stopped)
    assert (row.status, row.reason) == ("failed", "the scheduler was stopped") and count_schedulers(db) == 0


def test_a_machine_that_is_cut_off_fails_its_run_and_has_the_rest_when_it_is_back(cluster: Cluster, db: Engine, serve: Serve) -> None:
    experiment = enqueue(db, "sleep-600", device="beta/cpu"), enqueue(db, "normal", device="beta/cpu", rounds=2)
    serve()
    wait_for(cluster.beta.pids)
    cluster.beta.kill()
    (row,) = wait_for(lambda: [r for r in of(rows(db), experiment[0]) if r.status != "running"], 120)
    assert row.status == "failed" and row.reason.startswith("worker_lost: the process of the lab on beta ended")
    wait_for(lambda: count_schedulers(db) == 1)
    done = enqueue(db, "normal", device="cpu")
    wait_for(lambda: of(rows(db), done)[0].status == "succeeded")
    assert {r.status for r in of(rows(db), experiment[1])} == {"queued"}
    cluster.beta.start()
    wait_for(lambda: {r.status for r in of(rows(db), experiment[1])} == {"succeeded"}, 120)
    assert {r.device for r in of(rows(db), experiment[1])} == {"beta/cpu"}


def test_what_the_memory_monitor_ends_was_out_of_memory(cluster: Cluster, db: Engine, serve: Serve) -> None:
    cluster.beta.kill()
    memory = psutil.virtual_memory()
    threshold = (memory.total - memory.available + 3 * 2**30) / memory.total
    cluster.beta.environment |= {"RAY_memory_usage_threshold": f"{threshold:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    cluster.beta.start()
    enqueue(db, "eat-6", device="beta/cpu")
    serve()
    (row,) = wait_for(lambda: [r for r in rows(db) if r.status not in ("queued", "running")])
    for variable in ("RAY_memory_usage_threshold", "RAY_memory_monitor_refresh_ms"):  # from its next start on
        del cluster.beta.environment[variable]
    assert row.status == "out_of_memory" and "memory monitor on beta" in row.reason
    assert cluster.beta.started() == [f"{row.id}.1"]
