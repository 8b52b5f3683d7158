"""The child process: one run, from spec.json to result.json. The only process that imports torch.

Usage: python -m engine.worker RUN_DIR. Where the stack wants a group of processes, it starts itself again as the ranks of one
and hears them out. Must not import sqlalchemy, streamlit or pandas.
"""

# The first statement ties this process to its parent, before anything slow is imported.
from engine.child_process import tie_to_parent

tie_to_parent()

import gc  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

from engine.code_version import commit  # noqa: E402
from engine.devices import Device  # noqa: E402
from engine.drift import drifting  # noqa: E402
from engine.environments import CORE  # noqa: E402
from engine.measurement import Status  # noqa: E402
from engine.ranks import folder, join, launch, leave, this_rank  # noqa: E402
from engine.run_spec import RunSpec  # noqa: E402
from engine.specs import RunKind, VariantSpec  # noqa: E402
from engine.technique import (  # noqa: E402
    Ranks,
    Session,
    Technique,
    UnsupportedHereError,
    environment_of,
    processes_of,
    unsupported_stack,
)  # fmt: skip

if TYPE_CHECKING:
    from engine.quality import QualityReference


def main(run_dir: Path) -> None:
    """Run one RunSpec. Every outcome, an exception too, ends as a result.json with a status and a reason."""
    spec = RunSpec.model_validate_json((run_dir / "spec.json").read_text())
    device = Device.from_json(spec.device)
    stack = VariantSpec(name="variant", stack=spec.stack).build()
    result: dict[str, Any] = {"status": Status.SUCCEEDED, "reason": None, "evidence": {}, "environment": {}, "details": {}}
    ranks, count, whole = this_rank(), processes_of(stack, device), True
    if reason := unsupported_stack(stack, device, spec.model, spec.workload.build()):
        result |= {"status": Status.UNSUPPORTED, "reason": reason}
    elif ranks is None and count is not None:
        _spread(spec, device, run_dir, count, result)
    else:
        whole = _measured(spec, stack, device, run_dir, ranks or Ranks(), result)
    from engine.meter import write_json  # after the check: an unsupported stack ends before torch is imported

    write_json((run_dir if ranks is None else folder(run_dir, ranks.rank)) / "result.json", result)
    if ranks is not None:
        leave(whole)


def _spread(spec: RunSpec, device: Device, run_dir: Path, count: int, result: dict[str, Any]) -> None:
    """Measure by a group of processes. What went on beside them is seen from here: a rank would take another for a stranger."""
    from engine.environment import Surroundings

    surroundings = Surroundings(device)
    found = launch(run_dir, count, max(1, spec.threads // count))
    of_ranks = {name: value for name, value in found.details.items() if name != "contended"}
    result |= {"status": found.status, "reason": found.reason, "evidence": found.evidence, "environment": found.environment}
    result["details"] |= of_ranks | surroundings.facts()


def _measured(
    spec: RunSpec, stack: tuple[Technique, ...], device: Device, run_dir: Path, ranks: Ranks, result: dict[str, Any]
) -> bool:
    """Fill the result in. Returns whether all that was asked for was measured: a rank that could not go on is missed by others."""
    import torch

    from engine.environment import Surroundings, fingerprint
    from engine.loading import NotAppliedError
    from engine.meter import Meter, is_out_of_memory

    threads = max(1, spec.threads // ranks.count)
    torch.set_num_threads(threads)
    # bitsandbytes logs a line per matrix product on float32 input: writing them would be part of what is timed
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    meter = Meter(folder(run_dir, ranks.rank) if ranks.rank else run_dir, "cuda" if device.kind == "cuda" else "cpu", unseen_memory(stack, device))
    surroundings = Surroundings(device)  # before CUDA starts in this process
    try:
        if this_rank() is not None:
            join(meter.device)
            meter.details["group"] = {"processes": ranks.count, "threads_of_each": threads}
        result["environment"] = fingerprint(device, spec.threads)
        of_kind = {RunKind.SPEED: _speed, RunKind.QUALITY: _quality, RunKind.PROFILE: _profile}
        of_kind[spec.kind](spec, stack, device, meter, result)
        # loading is measured at no point: that it succeeded says nothing of the work that was asked for
        points = [m for m in meter.recorded if m.point]
        if points and not any(m.status is Status.SUCCEEDED for m in points):
            result |= {"status": points[0].status, "reason": points[0].reason}
    except NotAppliedError as error:
        result |= {"status": Status.FAILED, "reason": str(error)}
    except UnsupportedHereError as error:
        result |= {"status": Status.UNSUPPORTED, "reason": str(error)}
    except Exception as error:
        traceback.print_exc()
        status = Status.OUT_OF_MEMORY if is_out_of_memory(error) else Status.FAILED
        result |= {"status": status, "reason": f"{type(error).__name__}: {error}"[:2000]}
    result["details"] |= meter.details | surroundings.facts() | {"code": commit()}  # asked at the end: it starts a process
    if spec.kind is RunKind.SPEED and (found := drifting(meter.recorded)):
        result["details"]["drifting"] = found
    return result["status"] is Status.SUCCEEDED and not any(m.status is Status.OUT_OF_MEMORY for m in meter.recorded)


def unseen_memory(stack: tuple[Technique, ...], device: Device) -> str | None:
    """Why the counters of memory miss what a stack takes on a device, in words; None where they see it all."""
    apart = [t.label for t in stack if t.own_gpu_memory and device.kind == "cuda"]
    return f"{apart[0]} takes GPU memory of its own, past the allocator of PyTorch whose peaks are counted here" if apart else None


def _build_ahead(spec: RunSpec, stack: tuple[Technique, ...], device: Device, meter: Any) -> None:
    from engine.loading import build_ahead

    meter.phase("making the files that loading needs, once")
    head = spec.workload.build().head
    build_ahead(spec.model, stack, device, Path(spec.models_dir), Path(spec.local_models_dir), head, Path(spec.artifacts_dir))


def _load(spec: RunSpec, stack: tuple[Technique, ...], device: Device) -> Session:
    from engine.loading import load_session

    return load_session(
        spec.model, stack, device, spec.seed, Path(spec.models_dir), Path(spec.local_models_dir), Path(spec.texts_dir),
        spec.workload.build(), Path(spec.artifacts_dir),
    )  # fmt: skip


def _speed(spec: RunSpec, stack: tuple[Technique, ...], device: Device, meter: Any, result: dict[str, Any]) -> None:
    from engine.loading import collect_evidence, parameter_count, weight_bytes

    workload = spec.workload.build()
    _build_ahead(spec, stack, device, meter)
    meter.phase("loading the model")
    started = time.perf_counter()
    load_peaks, session = meter.peak_of(lambda: _load(spec, stack, device))
    seconds = meter.now() - started
    gc.collect()
    result["evidence"] = collect_evidence(session, stack)
    if session.model is not None:
        of_all = session.ranks.gather({"load_seconds": seconds, "weight_bytes": weight_bytes(session), **load_peaks})
        meter.record("load_seconds", [max(of["load_seconds"] for of in of_all)])
        if all("peak_memory_bytes" in of for of in of_all):
            meter.record_peaks({"load_peak_memory_bytes": max(of["peak_memory_bytes"] for of in of_all)})
        counted = max(of["weight_bytes"] for of in of_all)
        meter.record("weight_bytes", [counted])
        if len(of_all) == 1:  # of several, each may hold a part
            meter.record("bits_per_parameter", [8 * counted / parameter_count(session, workload.head)])
    workload.run(session, meter)
    if session.compile_seconds is not None:
        meter.record("compile_seconds", [session.compile_seconds()])
    if session.model is not None:
        from engine.ceilings import measure_ceilings

        meter.phase("measuring the ceilings of the device")
        meter.details["ceilings"] = measure_ceilings(session)


def _quality(spec: RunSpec, stack: tuple[Technique, ...], device: Device, meter: Any, result: dict[str, Any]) -> None:
    from engine.loading import checkpoint_identity, collect_evidence
    from engine.memory import release
    from engine.quality import QualityReference

    workload = spec.workload.build()
    identity = {
        "model": checkpoint_identity(spec.model, Path(spec.models_dir), Path(spec.local_models_dir)),
        "protocol": workload.quality_protocol(Path(spec.texts_dir)),
        "baseline": [t.model_dump() for t in spec.baseline_stack],
        "device": device.name,
        "packages": result["environment"]["packages"],
    }
    ranks = this_rank() or Ranks()
    is_baseline = spec.stack == spec.baseline_stack
    reference = QualityReference(Path(spec.artifacts_dir), identity, is_baseline=is_baseline, writes=ranks.rank == 0)
    if not is_baseline and not all(ranks.gather(reference.path.exists())):
        meter.phase("computing the baseline's logits again")
        reference.problem = ranks.gather(_write_reference(spec, device, reference))[0]
        release(meter.device)
    meter.phase("loading the model")
    session = _load(spec, stack, device)
    result["evidence"] = collect_evidence(session, stack)
    workload.measure_quality(session, meter, reference)
    result["details"]["quality"] = identity["protocol"]
    if reference.problem:
        result["details"]["quality_reference"] = reference.problem


def _profile(spec: RunSpec, stack: tuple[Technique, ...], device: Device, meter: Any, result: dict[str, Any]) -> None:
    from engine.loading import collect_evidence
    from engine.profiler import profile_call

    _build_ahead(spec, stack, device, meter)
    meter.phase("loading the model")
    session = _load(spec, stack, device)
    result["evidence"] = collect_evidence(session, stack)
    step = spec.workload.build().profiled(session)
    if step is None:
        result["details"]["profile"] = {"not_measured": f"the workload {spec.workload.name} names no step to profile"}
        return
    meter.phase(f"profiling {step.what}")
    sees_operators = session.plan.loader is None
    found = profile_call(step.call, step.what, meter.device, Path(spec.artifacts_dir), sees_operators=sees_operators)
    result["details"]["profile"] = found.model_dump(mode="json")


def _write_reference(spec: RunSpec, device: Device, reference: "QualityReference") -> str | None:
    """Compute the baseline's logits; why that was not possible, or None. All of the baseline is free when this returns."""
    from engine.loading import collect_evidence

    stack = VariantSpec(name="baseline", stack=spec.baseline_stack).build()
    variant = VariantSpec(name="variant", stack=spec.stack).build()
    if environment_of(stack) not in (CORE, environment_of(variant)):
        return "the baseline's logits are not there, and it runs in another environment; run its quality run again"
    processes = processes_of(stack, device)
    if processes not in (None, processes_of(variant, device)):
        return "the baseline's logits are not there, and it runs in a group of processes; run its quality run again"
    if processes is None and not reference.writes:
        return None  # a model that is not spread: one rank is enough
    try:
        baseline = _load(spec, stack, device)
        collect_evidence(baseline, stack)
        spec.workload.build().write_quality_reference(baseline, reference)
    except Exception as error:  # whatever ails the baseline, the variant has a perplexity of its own
        if processes is not None:  # but other ranks are in the middle of it
            raise
        traceback.print_exc()
        return f"the baseline's logits could not be computed: {type(error).__name__}: {error}"[:2000]
    return reference.problem


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m engine.worker RUN_DIR")
    main(Path(sys.argv[1]).resolve())
