"""Whether an experiment that may stop early has its answers. Reads a record; the schedule of looks is in engine/specs.py.

Only after round 5, 10, ... is an experiment looked at, and what the verdicts say then is at the level of one look of all that are
planned (engine/verdicts.py), so that stopping makes no verdict less sure. Looking whenever a round ends would.
"""

from __future__ import annotations

from engine.analysis import rows
from engine.cells import NOT_MEASURED
from engine.control import UNRELIABLE
from engine.measurement import Status
from engine.metrics import METRICS
from engine.record import Record, control_position
from engine.registry import discover
from engine.specs import looks

OPEN = ("no difference shown", "too few rounds", UNRELIABLE, NOT_MEASURED)
"""The verdicts that more rounds may change into an answer."""


def answered(record: Record) -> int | None:
    """After how many rounds the experiment may end, all of which it has; None where it must go on, or has all of its rounds.

    It may end where every speed that decides in its workload has an answer, of every variant at every point. The control needs none:
    that it shows no difference is its answer. A record of unended later runs is judged by the rounds before them.
    """
    spec = record["experiment"]["spec"]
    if not spec.get("stop_early") or (done := _whole_rounds(record)) not in looks(spec["rounds"])[:-1]:
        return None
    workload, control = discover().workloads.get(spec["workload"]["name"]), control_position(record)
    deciding = [name for name in workload.decides if METRICS[name].kind == "speed"] if workload else []
    words = [row.verdict for row in rows(record) if row.metric in deciding and row.position != control]
    return done if words and not any(word in OPEN for word in words) else None


def _whole_rounds(record: Record) -> int:
    """How many rounds have ended; 0 where one has ended in part."""
    ended = {(r["round"], r["variant"]) for r in record["runs"] if r["kind"] == "speed" and Status(r["status"]).ended}
    rounds = 1 + max((round_ for round_, _ in ended), default=-1)
    return rounds if len(ended) == rounds * len(record["variants"]) else 0
