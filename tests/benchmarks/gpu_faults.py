"""The fault cases that need a GPU, T13 and T16, caused for real: somebody else on the GPU, CUDA out of memory, a device-side assert.

Usage: LAB_DATA=DIR python -m tests.benchmarks.gpu_faults [--device cuda:0] [--out FILE]
Each is a run of the real executor, one after another, on shapes that need no download. Prints one JSON object: what each run ended as, and
whether that is what is promised. Exit code 1 where it is not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.devices import Device, find_device
from engine.executor import LocalExecutor
from engine.measurement import RunResult
from engine.specs import ExperimentSpec, PlannedRun, RunKind, run_spec

STRANGER = "import torch, sys; x = torch.ones(2**28, device='cuda'); torch.cuda.synchronize(); print('here', flush=True); sys.stdin.read()"
FAILING = (
    "import sys; from engine.child_process import tie_to_parent; tie_to_parent(); import torch; x = torch.zeros(4, device='cuda');"
    " x[torch.tensor([10**6], device='cuda')].cpu()"
)
"""A child that reads beyond the end of a tensor: the driver's assert poisons its context for good."""


def ran(device: Device, command: list[str] | None = None, *, model: str = "tiny-llama", **options: Any) -> RunResult:
    """One run, to its end."""
    workload = {"name": "generation", "options": {"batch_sizes": [1], "new_tokens": 16, "quality_tokens": 0} | options}
    spec = ExperimentSpec.model_validate({"title": "fault", "model": model, "rounds": 1, "device": device.kind, "workload": workload})
    executor = LocalExecutor(command) if command else LocalExecutor()
    with tempfile.TemporaryDirectory(prefix="gpu-faults-") as folder:
        handle = executor.start(run_spec(spec, PlannedRun(0, 0, RunKind.SPEED), device), Path(folder) / "runs" / "1.1", device=device)
        while (result := executor.poll(handle)) is None:
            time.sleep(0.1)
    return result


def shown(result: RunResult, kept: bool, **more: Any) -> dict[str, Any]:
    points = [{"point": m.point, "status": m.status, "reason": m.reason} for m in result.measurements if m.status != "succeeded"]
    return {"kept": kept, "status": result.status, "reason": result.reason, "points": points[:5], **more}


def somebody_else(device: Device) -> dict[str, Any]:
    """T13: the run ends, and says who was there."""
    environment = os.environ | device.child_environment()
    with subprocess.Popen([sys.executable, "-c", STRANGER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout is not None and stranger.stdout.readline() == "here\n"
        result = ran(device)
        stranger.kill()
    return shown(result, "on the GPU" in str(result.details.get("contended")), contended=result.details.get("contended"))


def out_of_memory(device: Device) -> dict[str, Any]:
    """T16: a batch that no GPU holds is a result, and the small one before it is kept."""
    result = ran(device, model="llama-7b", batch_sizes=[1, 4096], prompt_tokens=2048)
    lost = [m for m in result.measurements if m.status == "out_of_memory"]
    return shown(result, bool(lost) and any(m.status == "succeeded" and m.point.get("batch") == 1 for m in result.measurements))


def device_assert(device: Device) -> dict[str, Any]:
    """T16: a poisoned context ends with its process: that run fails with the first error of CUDA, the next one succeeds."""
    failed = ran(device, [sys.executable, "-c", FAILING])
    after = ran(device)
    said = failed.status == "failed" and "device-side assert" in f"{failed.reason}{failed.log_tail}"
    return shown(failed, said and after.status == "succeeded", next_run=shown(after, after.status == "succeeded"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = find_device(options.device)
    found = {"device": device.to_json(), "T13": somebody_else(device), "T16 out of memory": out_of_memory(device), "T16 assert": device_assert(device)}
    print(json.dumps(found, indent=1, default=str))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1, default=str))
    return 0 if all(v["kept"] for k, v in found.items() if k != "device") else 1


if __name__ == "__main__":
    sys.exit(main())
