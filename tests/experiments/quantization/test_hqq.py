"""HQQ in its own environment: its checks run there, and so does a whole run, speed and quality beside a baseline of the core."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from engine.environments import LayeredEnvironment
from engine.measurement import Status
from engine.settings import REPOSITORY
from engine.specs import RunKind
from tests.engine.test_worker import by_name, run

CHECKS = "tests/experiments/quantization/hqq_checks.py"
# transformers imports hqq, hqq asks for torch's compiler, and that for what torch deprecates: before any test could filter it
IMPORTED = "ignore:`torch.jit.script_method` is:DeprecationWarning"


def test_its_checks_pass_where_it_is_installed(hqq_environment: LayeredEnvironment) -> None:
    command = [str(hqq_environment.python), "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-W", IMPORTED, CHECKS]
    child = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True, env=os.environ)
    assert child.returncode == 0, child.stdout[-6000:] + child.stderr[-2000:]


def test_a_whole_run_speed_and_quality(
    hqq_environment: LayeredEnvironment, tiny_model_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_MODELS", str(tiny_model_root))
    two_bits = {"technique": "hqq", "options": {"bits": 2}}
    speed = run(tmp_path, RunKind.SPEED, two_bits)
    assert (speed.status, speed.reason) == (Status.SUCCEEDED, None)
    assert speed.evidence["hqq"]["facts"]["bits"] == {"2": 14}
    # embedding and head, 300 x 64 each, and five norms of 64 stay as they are; 73,728 weights take 2 bits and 1 for scale and zero point
    plain, packed = 2 * 300 * 64 + 5 * 64, 2 * 36_864
    assert by_name(speed)["bits_per_parameter"].value == pytest.approx((32 * plain + 3 * packed) / (plain + packed), rel=0.01)
    quality = run(tmp_path, RunKind.QUALITY, two_bits)
    assert (quality.status, quality.reason) == (Status.SUCCEEDED, None)
    assert by_name(quality)["kl_divergence"].value > 0
