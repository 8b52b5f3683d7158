"""What a phase of a variant is limited by: its measured rates against the ceilings that the same runs measured. Reads a record.

The rule. Each ceiling gives the share of the phase's time that this resource alone would need at its best:

- bytes: weights, and the KV cache as it is after the last token, once per pass / time of a pass, over the bandwidth of a copy;
- arithmetic: FLOPs per token x tokens / time, over the rate of large matrix products in the run's number type;
- launches: operators per pass x the seconds to start one, over the time of a pass.

A share of at least a half decides, the largest first: whatever else there is then has less than half of the time. Launches decide also
where both others stay below a quarter and launches alone take a quarter of the time, for starting an operator inside a model costs
several times what it costs in a bare loop; or where the profile saw the device wait, or Python and the framework run, for half of
the time. Else it is undecided: slow kernels and waiting are told apart by a profile only. A share above 125 % decides nothing: something
disturbed the ceiling while it was measured, or the work has a faster one, such as products of 8-bit integers.

FLOPs per token count 2 for each parameter and forward pass (Kaplan et al. 2020), 2 more for gradients of activations, 2 for
gradients of the parameters that take them, and 2 for a recomputed forward pass. Attention's own products and the embedding's lookup
are not told apart, which overstates short prompts' prefill a little. Without a KV cache, a pass reads the whole sequence again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from engine.profiles import Profile, read_profile
from engine.record import Record

if TYPE_CHECKING:
    from engine.analysis import Row

HALF, QUARTER = 0.5, 0.25
BEYOND = 1.25
"""A copy both reads and writes, so that reading alone may be somewhat faster; more than this above a ceiling, it is none."""
OLD = "it was measured by a version that measured no ceilings"

_Positive = Annotated[FiniteFloat, Field(gt=0)]


class Ceilings(BaseModel):
    """As engine/ceilings.py measures them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dtype: str
    matrix_flops_per_second: _Positive
    copy_bytes_per_second: _Positive
    launch_seconds: _Positive


@dataclass(frozen=True)
class Regime:
    """One phase at one point. word: what limits it. Rates per second, shares of the ceilings; None where not measured.

    waiting: the profile's share of time in which no kernel ran (GPU), or no operator (CPU).
    """

    phase: str
    point_label: str
    word: str
    flops: float
    flops_share: float
    bytes: float | None = None
    bytes_share: float | None = None
    launch_share: float | None = None
    waiting: float | None = None


def regimes(record: Record, position: int, rows: Sequence[Row]) -> list[Regime] | str:
    """Of all phases at all points that a variant was timed at, or why there is none. rows: of the whole record."""
    found = ceilings(record, position)
    if isinstance(found, str):
        return found
    own = {(r.metric, r.point_label): r.value for r in rows if r.position == position and r.value is not None}
    parameters = _parameters(own)
    if parameters is None:
        return "how many parameters the model has was not measured"
    phases = [phase for r in rows if r.position == position and r.value for phase in _phases(record, position, r, own, parameters)]
    operators, waiting = _operators(record, position), _waiting(record, position)
    return [_regime(phase, found, operators, waiting) for phase in phases] or "no phase of its work was timed that has a known arithmetic"


def ceilings(record: Record, position: int) -> Ceilings | str:
    """The best of all speed runs of the experiment on the variant's device, in its number type; or why there are none.

    Of all, for what disturbs a measurement only lowers it.
    """
    speed = [r for r in record["runs"] if r["kind"] == "speed" and r["status"] == "succeeded"]
    own = [r for r in speed if r["variant"] == position]
    if not own:
        return "no speed run of it succeeded"
    read = [_read(r) for r in own]
    mine = next((c for c in read if isinstance(c, Ceilings)), None)
    if mine is None:
        return str(read[0])
    alike = [c for c in (_read(r) for r in speed if r["device"] == own[0]["device"]) if isinstance(c, Ceilings)]
    return Ceilings(
        dtype=mine.dtype, matrix_flops_per_second=max(c.matrix_flops_per_second for c in alike if c.dtype == mine.dtype),
        copy_bytes_per_second=max(c.copy_bytes_per_second for c in alike), launch_seconds=min(c.launch_seconds for c in alike),
    )  # fmt: skip


def _read(run: dict[str, Any]) -> Ceilings | str:
    found = (run["details"] or {}).get("ceilings")
    try:
        return Ceilings.model_validate(found)
    except ValidationError:
        return str(found["not_measured"]) if isinstance(found, dict) and "not_measured" in found else OLD


@dataclass(frozen=True)
class _Phase:
    """name, where, and of one pass: seconds, FLOPs, bytes (None: not counted). generates: its operators per token are counted."""

    name: str
    point_label: str
    seconds: float
    flops: float
    bytes: float | None
    generates: bool = False


_Values = Mapping[tuple[str, str], float]


def _phases(record: Record, position: int, row: Row, own: _Values, parameters: float) -> list[_Phase]:
    """Those that a row times."""
    point, label, seconds = row.point, row.point_label, float(row.value or 0)
    batch = int(point.get("batch", 1))
    if row.metric == "ttft_seconds":
        tokens = batch * int(point["prompt_tokens"])
        return [_Phase("prefill", label, seconds, 2 * parameters * tokens, own.get(("weight_bytes", "")), generates=True)]
    if row.metric == "inter_token_latency_seconds":
        cache, weights = own.get(("kv_cache_bytes", label)), own.get(("weight_bytes", ""))
        # no cache: every token is a pass over all before it
        length = 1.0 if cache != 0 else int(point["prompt_tokens"]) + int(point["new_tokens"]) / 2
        moved = None if cache is None or weights is None else weights + cache
        return [_Phase("decode", label, seconds, 2 * parameters * batch * length, moved, generates=True)]
    if row.metric == "training_tokens_per_second":
        return [_Phase("a training step", label, 1 / seconds, _training_flops(record, position, own) * parameters, None)]
    if row.metric == "forward_seconds" and "tokens" in point:
        tokens = batch * int(point["tokens"])
        return [_Phase("the forward pass", label, seconds, 2 * parameters * tokens, own.get(("weight_bytes", "")))]
    return []


def _training_flops(record: Record, position: int, own: _Values) -> float:
    """FLOPs per token and parameter."""
    total, trained = own.get(("total_parameters", "")), own.get(("trainable_parameters", ""))
    checkpointing = shown_facts(record, position, "gradient_checkpointing") or {}
    recomputed = float(checkpointing.get("blocks_that_run_twice", 0)) / (checkpointing.get("blocks") or 1)
    return 4 + 2 * (trained / total if total and trained else 1.0) + 2 * recomputed


def shown_facts(record: Record, position: int, name: str) -> dict[str, Any] | None:
    """What a technique of a variant, or "model", showed of itself in the first run that has evidence."""
    run = next((r for r in record["runs"] if r["variant"] == position and r["evidence"]), None)
    shown = run["evidence"].get(name) if run else None
    return shown["facts"] if shown else None


def profile_of(record: Record, position: int) -> Profile | None:
    runs = [r for r in record["runs"] if r["variant"] == position and r["kind"] == "profile"]
    found = read_profile(runs[-1]) if runs else None
    return found if isinstance(found, Profile) else None


def _parameters(own: _Values) -> float | None:
    weights, bits = own.get(("weight_bytes", "")), own.get(("bits_per_parameter", ""))
    return own.get(("total_parameters", "")) or (8 * weights / bits if weights and bits else None)


def _operators(record: Record, position: int) -> float | None:
    """Per token; the same in every round."""
    found = [(r["details"] or {}).get("operators_per_token") for r in record["runs"] if r["variant"] == position and r["kind"] == "speed"]
    return next((float(n) for n in found if isinstance(n, int)), None)


def _waiting(record: Record, position: int) -> float | None:
    profile = profile_of(record, position)
    if profile is None or profile.shares is None:
        return None
    return profile.shares.get("launch_and_idle" if profile.device == "cuda" else "outside_operators")


def _regime(phase: _Phase, best: Ceilings, operators: float | None, waiting: float | None) -> Regime:
    flops = phase.flops / phase.seconds
    moved = None if phase.bytes is None else phase.bytes / phase.seconds
    bytes_share = None if moved is None else moved / best.copy_bytes_per_second
    launches = operators * best.launch_seconds / phase.seconds if operators is not None and phase.generates else None
    flops_share = flops / best.matrix_flops_per_second
    waiting = None if phase.name == "prefill" else waiting  # most of a profiled generation is decoding
    word = _word(flops_share, bytes_share, launches, waiting)
    return Regime(phase.name, phase.point_label, word, flops, flops_share, moved, bytes_share, launches, waiting)


def _word(flops: float, moved: float | None, launches: float | None, waiting: float | None) -> str:
    shares = {"compute-bound": flops, "bandwidth-bound": moved or 0.0, "launch-bound": launches or 0.0}
    word, share = max(shares.items(), key=lambda item: item[1])
    if share > BEYOND:
        return "beyond"
    if share >= HALF:
        return word
    both_low = max(flops, moved or 0.0) < QUARTER
    if (both_low and (launches or 0.0) >= QUARTER) or (waiting or 0.0) >= HALF:
        return "launch-bound"
    return "undecided"
