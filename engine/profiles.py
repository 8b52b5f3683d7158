"""What a profile of a run holds, and what its times say: the format in a run's details, and the rule behind the shares.

Runs no profiler and needs no torch: pages read profiles with it.

The rule. Operators and kernels are told apart by name: matrix products (attention kernels and convolutions among them), and all
others. The others do few operations for each number that they read, so that memory limits them; that is their kind, not a measured
bandwidth.
- GPU, of the wall time of the profiled steps: the time in which a kernel ran, divided between the two kinds as their kernels' times
  are. The rest is launch and idle: no kernel ran, the GPU waited for its next order.
- CPU, of the same: self times of the operators in the thread that does the steps. An operator's work is its call, so there is no
  launch that could be told from it; the rest is time outside of operators: Python and the framework.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

SHARES = {
    "matrix_products": "matrix products", "memory_bound": "other operators (memory-bound)",
    "launch_and_idle": "launch and idle", "outside_operators": "outside of operators",
}  # fmt: skip

RULE = {
    "cuda": "Shares of the wall time of the profiled steps, by the names of the kernels that ran. Launch and idle: no kernel ran, the GPU waited "
    "for its next order.",
    "cpu": "Shares of the wall time of the profiled steps, by the names of the operators. On a CPU an operator's work is its call, so there is no "
    "launch time; what is left is time outside of operators: Python and the framework.",
}

_MATRIX_PRODUCT = re.compile(
    r"mm\b|mm_|mv\b|gemm|gemv|matmul|linear|einsum|convolution|conv\dd|\bdot\b|dot_product|attention|flash|fmha|sdpa"
    r"|nvjet|cutlass|xmma|cublas|triton_tem",
    re.IGNORECASE,
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Operator(_Part):
    """All calls of one operator. Self: without the operators that it calls. memory_bytes: taken minus given back, on the profiled device."""

    name: str
    calls: int
    cpu_seconds: FiniteFloat
    device_seconds: FiniteFloat
    memory_bytes: int


class Kernel(_Part):
    """All launches of one GPU kernel."""

    name: str
    calls: int
    seconds: FiniteFloat


class Region(_Part):
    """A named part of the step, with all that it calls. device_seconds: of the kernels launched in it, by the thread that is in it."""

    name: str
    calls: int
    cpu_seconds: FiniteFloat
    device_seconds: FiniteFloat


class Trace(_Part):
    """Where the Chrome trace is: in the artifacts of the machine that measured, named by its hash; or why there is none."""

    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = 0
    absent: str | None = None


class Profile(_Part):
    """The profile of a few steps. operators, kernels, regions: the largest ones, largest first; the totals are of all operators.

    shares: {one of SHARES: fraction of the steps' wall time}, summing to 1; None with the reason in shares_not_measured.
    """

    what: str
    device: Literal["cpu", "cuda"]
    steps: int
    step_seconds: FiniteFloat
    shares: dict[str, FiniteFloat] | None = None
    shares_not_measured: str | None = None
    operators: tuple[Operator, ...] = ()
    operators_total: int = 0
    cpu_seconds_total: FiniteFloat = 0.0
    device_seconds_total: FiniteFloat = 0.0
    kernels: tuple[Kernel, ...] = ()
    regions: tuple[Region, ...] = ()
    trace: Trace = Trace()

    def seconds(self, operator: Operator) -> float:
        """The time that operators are ranked by: on the GPU where there is one."""
        return operator.device_seconds if self.device == "cuda" else operator.cpu_seconds

    @property
    def total_seconds(self) -> float:
        return self.device_seconds_total if self.device == "cuda" else self.cpu_seconds_total


def read_profile(run: dict[str, Any]) -> Profile | str:
    """The profile of a run of a record, or why it has none, in words."""
    found = (run["details"] or {}).get("profile")
    if run["status"] != "succeeded" or not isinstance(found, dict):
        return f"{run['status'].replace('_', ' ')}{': ' + run['reason'] if run['reason'] else ''}"
    if reason := found.get("not_measured"):
        return f"not measured: {reason}"
    try:
        return Profile.model_validate(found)
    except ValueError:
        return "not readable by this version"


def is_matrix_product(name: str) -> bool:
    """By the name of an operator or a kernel."""
    return _MATRIX_PRODUCT.search(name) is not None


def kind_of(name: str) -> str:
    """The key in SHARES of an operator or kernel."""
    return "matrix_products" if is_matrix_product(name) else "memory_bound"


def cpu_shares(window: float, operators: Iterable[tuple[str, float]]) -> dict[str, float]:
    """window: wall seconds of the steps. operators: (name, self seconds) of every call in the thread of the steps."""
    spent = dict.fromkeys(("matrix_products", "memory_bound"), 0.0)
    for name, seconds in operators:
        spent[kind_of(name)] += seconds
    whole = max(window, sum(spent.values()))  # clock ticks may put the sum a little beyond
    return {k: s / whole for k, s in spent.items()} | {"outside_operators": (whole - sum(spent.values())) / whole}


def gpu_shares(window: float, kernels: Iterable[tuple[str, float, float]]) -> dict[str, float]:
    """window: wall seconds of the steps. kernels: (name, start, end) in seconds, copies and fills among them; they may overlap."""
    found = sorted(kernels, key=lambda k: k[1])
    busy, reached = 0.0, float("-inf")
    spent = dict.fromkeys(("matrix_products", "memory_bound"), 0.0)
    for name, start, end in found:
        spent[kind_of(name)] += end - start
        busy += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    whole, total = max(window, busy), sum(spent.values()) or 1.0
    return {k: busy * s / total / whole for k, s in spent.items()} | {"launch_and_idle": (whole - busy) / whole}


def trace_file(artifacts: Path, trace: Trace) -> Path | None:
    """Where this machine would have the trace; None where the profile has none."""
    return None if trace.sha256 is None else artifacts / trace_name(trace.sha256)


def trace_name(sha256: str) -> str:
    """Its name among the artifacts."""
    return f"traces/{sha256}.json.gz"
