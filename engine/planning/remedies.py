"""What a run's end means in words, and what to try: a table of the ends that are known. Reads the status and its reason, guesses nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.measurement import Status

_COMMAND = re.compile(r"python -m engine\.\w+ [\w-]+|pip install [\w.-]+(?: [\w.-]+)*")


@dataclass(frozen=True)
class Remedy:
    """headline: what happened. advice: what to try. change: a name of engine/planning/changes.py that does it. command: to type on the worker."""

    headline: str
    advice: str
    change: str | None = None
    command: str | None = None


_BY_REASON: tuple[tuple[str, Remedy], ...] = (
    (r"gated|401 client error|403 client error|access to model .* is restricted|invalid token|authentication",
     Remedy("The model is gated", "Ask for access on its page, then give the scheduler a token in its environment and start it again; "
            "this page never asks for one.", command="HF_TOKEN=... make run")),
    (r"no kernel image|driver version is insufficient|cuda.*(mismatch|incompatible|unsupported toolchain)",
     Remedy("CUDA, driver and GPU do not fit together", "Install the build of torch for this driver; the command shows both versions.",
            command=".venv/bin/python -m engine doctor")),
    (r"not a number|\bnan\b|not finite",
     Remedy("The model answers no numbers", "Its arithmetic overflows in this number type; try the variant with bfloat16 or float32.")),
    (r"^not applied",
     Remedy("The technique had no effect", "It did not change this model, so it was not measured; the reason names what was looked for. "
            "Take it out of the stack or choose another model.")),
    (r"^lost|scheduler",
     Remedy("Its process or machine went away", "Nothing is known against the variant itself: retry it.", "failed")),
    (r"^signal|killed from outside",
     Remedy("The process was ended from outside", "The log's last lines may say why; if nobody ended it, retry.", "failed")),
)  # fmt: skip


def remedy(status: str, reason: str | None) -> Remedy:
    """Of a run that ended without a measured result."""
    reason = reason or ""
    if status == Status.OUT_OF_MEMORY:
        return Remedy("It did not fit into memory", "Halve the largest batch, or add a technique that takes less.", "smaller")
    if status == Status.TIMED_OUT:
        return Remedy("It took longer than its time limit", "Give it four times as long.", "longer")
    if found := _COMMAND.search(reason):
        command = found[0] if found[0].startswith("python") else f"python -m {found[0]}"
        return Remedy("Something is not installed", "Run this on the machine that measures, then retry.", "failed", f".venv/bin/{command}")
    if status == Status.CANCELLED:
        return Remedy("It was cancelled", "Nothing is known against it: retry it.", "failed")
    if status == Status.UNSUPPORTED:
        return Remedy("It cannot run there", "Take it out of the stack, or choose another device or model.")
    for pattern, known in _BY_REASON:
        if re.search(pattern, reason, re.IGNORECASE):
            return known
    return Remedy("It failed", "The reason and the log's last lines say where.", "failed")
