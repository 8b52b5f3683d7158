"""Forked children: they are as a child that was started anew, but for the wait; and a template that ends takes nothing along unseen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import children
from engine.devices import find_device
from engine.executor import Handle, LocalExecutor
from engine.measurement import RunResult, Status
from engine.run_spec import RunSpec
from engine.specs import RunKind, TechniqueSpec, WorkloadSpec
from tests.engine.processes import alive, processes_under, wait_for
from tests.engine.test_worker import worker_after

SHORT = WorkloadSpec(name="generation", options={"prompt_tokens": 8, "new_tokens": 4, "repeats": 1, "max_warmups": 0, "quality_tokens": 0})
LONG = WorkloadSpec(name="generation", options={"prompt_tokens": 8, "new_tokens": 400, "repeats": 1000})


@pytest.fixture(autouse=True, scope="module")
def _templates_end() -> Iterator[None]:
    children.close_templates()
    yield
    left = [t.pid for t in children._templates.values()]
    children.close_templates()
    assert not any(map(alive, left))


@pytest.fixture
def _no_template() -> None:
    """The first run waits for one to be started."""
    children.close_templates()


waits = pytest.mark.usefixtures("_no_template")


class Lab:
    """An executor and what it starts."""

    def __init__(self, root: Path, models: Path) -> None:
        self.root, self.models = root, models
        self.executor, self.started = LocalExecutor(), 0

    def start(self, workload: WorkloadSpec = SHORT, **extra: Any) -> Handle:
        stack = (TechniqueSpec(technique="float32"),)
        spec = RunSpec(
            kind=RunKind.SPEED, model="local:tiny", stack=stack, baseline_stack=stack, workload=workload, device=find_device("cpu").to_json(),
            seed=0, threads=1, models_dir=str(self.models), local_models_dir=str(self.models), texts_dir=str(self.models),
            artifacts_dir=str(self.root / "artifacts"),
        )  # fmt: skip
        self.started += 1
        return self.executor.start(spec, self.root / "runs" / str(self.started), device=find_device("cpu"), **extra)

    def result(self, handle: Handle, seconds: float = 120) -> RunResult:
        found: RunResult = wait_for(lambda: self.executor.poll(handle), seconds)
        return found

    def measuring(self, handle: Handle) -> int:
        """Its pid, once it is at work."""
        wait_for(lambda: not self.executor.poll(handle) and self.executor.read_progress(handle), 120)
        return handle.child.pid


@pytest.fixture
def lab(tmp_path: Path, tiny_model_root: Path) -> Iterator[Lab]:
    yield Lab(tmp_path, tiny_model_root)
    assert processes_under(tmp_path) == []


def template_of(pid: int) -> psutil.Process:
    parent = psutil.Process(pid).parent()
    assert parent is not None and "engine.template" in parent.cmdline()
    return parent


def test_runs_of_one_template_succeed_each_in_a_session_of_its_own(lab: Lab) -> None:
    first = lab.start(LONG)
    pid = lab.measuring(first)
    second = lab.start(LONG)
    other = lab.measuring(second)
    assert template_of(pid) == template_of(other) and template_of(pid).parent() == psutil.Process()
    assert os.getsid(pid) == os.getpgid(pid) == pid != other == os.getsid(other)
    lab.executor.kill(first)
    assert lab.result(first).reason == "signal 9: killed from outside"
    assert alive(other), "one run's end is not another's"
    lab.executor.kill(second)
    lab.result(second)
    assert lab.result(lab.start()).status is Status.SUCCEEDED


def test_it_has_the_environment_of_a_run_and_others_see_its_mark(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "secret")
    handle = lab.start(LONG, owner="somebody")
    pid = lab.measuring(handle)
    environment = psutil.Process(pid).environ()
    assert environment["LAB_RUN"] == handle.mark and handle.mark.startswith("somebody/")
    assert template_of(pid).environ()["LAB_RUN"] == f"somebody/{'0' * 16}", "what sweeps after this run must not take the template along"
    assert "MY_SECRET" not in environment and os.readlink(f"/proc/{pid}/cwd") == str(lab.root / "runs" / "1" / "cwd")
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n" != Path(f"/proc/{template_of(pid).pid}/oom_score_adj").read_text()
    lab.executor.kill(handle)
    lab.result(handle)


@waits
def test_descriptors_that_must_stay_open_stay_open_in_the_run_alone(lab: Lab) -> None:
    reading, writing = os.pipe()
    handle = lab.start(LONG, keep_fds=[writing])
    os.close(writing)
    lab.measuring(handle)
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):  # somebody still has the other end
        os.read(reading, 1)
    lab.executor.kill(handle)
    lab.result(handle)
    assert os.read(reading, 1) == b"", "neither the template nor we"
    os.close(reading)


@waits
def test_a_run_that_is_killed_before_it_exists_ends_at_once(lab: Lab) -> None:
    handle = lab.start(LONG)
    assert handle.child.pid == 0
    lab.executor.kill(handle)
    assert lab.result(handle, 30).reason == "signal 9: killed from outside"
    assert handle.child.pid == 0, "the import was not waited for"
    assert not (lab.root / "runs" / "1" / "progress.json").exists()


@waits
def test_of_two_that_wait_the_one_that_is_killed_ends_and_the_other_runs(lab: Lab) -> None:
    first, second = lab.start(LONG), lab.start()
    lab.executor.kill(first)
    assert lab.result(second).status is Status.SUCCEEDED
    assert lab.result(first).reason == "signal 9: killed from outside"


def test_a_killed_template_fails_its_runs_and_the_next_has_a_new_one(lab: Lab) -> None:
    handle = lab.start(LONG)
    pid = lab.measuring(handle)
    template = template_of(pid)
    template.kill()
    assert lab.result(handle).reason == "signal 9: killed from outside"
    assert not alive(pid)
    assert lab.result(lab.start()).status is Status.SUCCEEDED


@pytest.fixture
def _broken_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken" / "transformers"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('this installation is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))


@pytest.mark.usefixtures("_broken_installation")
def test_one_that_cannot_import_leaves_it_to_a_child_that_says_why(lab: Lab) -> None:
    result = lab.result(lab.start())
    assert result.status is Status.FAILED
    assert "this installation is broken" in result.log_tail


@pytest.mark.usefixtures("_broken_installation")
def test_a_child_that_cannot_start_either_fails_its_run_alone(lab: Lab) -> None:
    handle = lab.start()
    (handle.run_dir / "cwd").rmdir()
    result = lab.result(handle)
    assert result.status is Status.FAILED
    assert (result.reason or "").startswith("exit 1, no result: could not start: ") and "cwd" in (result.reason or "")


@waits
def test_templates_of_other_environments_are_let_go_when_there_are_many(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = []
    for number in range(children._KEPT + 1):
        monkeypatch.setenv("LC_TEMPLATE", str(number))
        handle = lab.start(LONG)
        pids.append(handle.child._template.pid)  # type: ignore[attr-defined]
        lab.executor.kill(handle)
        lab.result(handle)
    assert len(set(pids)) == len(pids) and len(children._templates) <= children._KEPT
    assert not alive(pids[0])


def test_memory_is_that_of_a_child_started_anew(lab: Lab) -> None:
    def peaks(run: Callable[[], Handle]) -> list[float]:
        result = lab.result(run())
        assert result.status is Status.SUCCEEDED
        return [next(float(m.value) for m in result.measurements if m.metric == name and m.value) for name in ("load_peak_memory_bytes", "peak_memory_bytes")]

    peaks(lab.start)  # the one that waits
    forked = peaks(lab.start)
    lab.executor = LocalExecutor(worker_after("pass"))
    anew = peaks(lab.start)
    assert forked == pytest.approx(anew, rel=0.03)


@pytest.mark.case("T11")
def test_all_of_it_ends_with_the_process_that_started_it(lab: Lab) -> None:
    script = f"""
        import sys, time
        from pathlib import Path
        from tests.engine.test_children import LONG, Lab
        lab = Lab(Path({str(lab.root)!r}), Path({str(lab.models)!r}))
        handle = lab.start(LONG)
        print(lab.measuring(handle), flush=True)
        time.sleep(600)
    """
    starter = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    template = template_of(pid)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    wait_for(lambda: not alive(pid) and not alive(template.pid))


ASKED_WHILE_IMPORTING = """
import functools
from engine import template
@functools.cache
def no(): return False
@functools.cache
def not_for_a_reason(): return False, "no GPU"
@functools.cache
def yes(): return True
@functools.cache
def of(what): return False
template._import()
from torch.utils._triton import has_triton
has_triton(), no(), not_for_a_reason(), yes(), of(1)
template.forget_noes()
print([f.cache_info().currsize for f in (has_triton, no, not_for_a_reason, yes, of)])
"""


def test_what_could_not_be_seen_while_importing_is_asked_again_in_the_run() -> None:
    """torch remembers that Triton does not work; a template sees no GPU, its forks may."""
    said = subprocess.run([sys.executable, "-c", ASKED_WHILE_IMPORTING], check=True, capture_output=True, text=True).stdout
    assert said == "[0, 0, 0, 1, 1]\n"
