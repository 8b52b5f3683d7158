"""The checklists and red flags of the chapter, as checks on one experiment. Each reads the record, and nothing but the record.

A flag says what was recorded, why it matters, and what to try. It is a warning where every measured variant has it, a note where
the experiment itself measured one without it, and an idea where something worth trying is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Literal

from engine.answers.record_facts import Facts
from engine.decisive import decisive
from engine.measurement import Status
from engine.metrics import METRICS, format_seconds
from engine.record import Record
from engine.registry import discover
from engine.technique import Slot
from engine.verdicts import MIN_ROUNDS

Severity = Literal["warning", "note", "idea"]

_INT8_ARITHMETIC = ("torch_dynamic_int8", "onnxruntime_int8", "torchao_int8_dynamic_activation_int8_weight")
_INT8_INSTRUCTIONS = ("avx512_vnni", "avx_vnni", "amx_int8", "i8mm")
_COMPILING_DOMINATES = 0.5


@dataclass(frozen=True)
class Flag:
    """evidence: what the record says. why: the reason to mind. technique: the name of what to try, None where it is no technique."""

    name: str
    severity: Severity
    variants: tuple[str, ...]
    evidence: str
    why: str
    remedy: str
    technique: str | None = None


def red_flags(record: Record) -> list[Flag]:
    """All that is found, warnings first. Raises ValueError for a metric that this version does not know."""
    facts = Facts(record)
    found = [flag for check in CHECKS if facts.workload is not None and (flag := check(facts)) is not None]
    return sorted(found, key=lambda flag: ("warning", "note", "idea").index(flag.severity))


def no_kv_cache(facts: Facts) -> Flag | None:
    having = facts.where(lambda i: bool(values := facts.values(i, "kv_cache_bytes")) and max(values) == 0)
    return _flag(
        facts, "no KV cache", having, lambda i: f"0 B of keys and values kept{facts.compared(i, 'decode_tokens_per_second')}",
        "Without a cache each new token recomputes the keys and values of all tokens before it, which the chapter puts at 10 to 100 times.",
        "Generate with a cache", "kv_cache",
    )  # fmt: skip


def float32_training(facts: Facts) -> Flag | None:
    having = facts.where(lambda i: _trains(facts) and facts.only_float32(i))
    return _flag(
        facts, "fp32 training", having, lambda i: f"all parameters float32, no autocast{facts.compared(i, 'training_tokens_per_second')}",
        "The chapter calls training in float32 obsolete: matrix units run 16-bit numbers faster, and activations take half the memory.",
        "Train in mixed precision", "amp_bfloat16",
    )  # fmt: skip


def float16_training(facts: Facts) -> Flag | None:
    if any(facts.uses(i, "amp_bfloat16", "bfloat16") for i in facts.positions):
        return None
    return _flag(
        facts, "fp16 training", facts.where(lambda i: facts.uses(i, "amp_float16")), lambda i: "trains with amp_float16",
        "float16 ends at 65,504, so gradients over- and underflow and need a scaler; bfloat16 has the range of float32.",
        "Train in bfloat16", "amp_bfloat16",
    )  # fmt: skip


def attention_not_fused(facts: Facts) -> Flag | None:
    kernels_alone = facts.record["experiment"]["spec"]["workload"]["name"] == "attention_kernel"

    def plain(i: int) -> bool:
        options = facts.technique(i, "attention")
        if options is None:
            return kernels_alone or facts.loaded(i).get("attention") == "eager"
        return options.get("implementation") == "eager" or options.get("kernel") == "math"

    def shown(i: int) -> str:
        return f"extra peak memory {facts.value_text(i, 'extra_peak_bytes')}" if kernels_alone else "two matrix products with a softmax between"

    return _flag(
        facts, "attention is not fused", facts.where(plain), shown,
        "Plain attention writes all n x n scores to memory; the chapter counts doing without a fused kernel as an engineering error.",
        "Use PyTorch's fused attention", "attention",
    )  # fmt: skip


def no_warm_up(facts: Facts) -> Flag | None:
    name = next((n for n in ("max_warmups", "warmups") if facts.option(n) == 0), None)
    return _flag(
        facts, "no warm-up", list(facts.positions) if name else [], lambda i: f"{name}: 0",
        "The first calls allocate memory, load kernels and raise clocks; without warm-up they are counted as speed.",
        f"Set {name} to 1 or more",
    )  # fmt: skip


def too_few_rounds(facts: Facts) -> Flag | None:
    rounds = {i: max((r.n_rounds for r in facts.rows if r.position == i and r.kind == "speed"), default=0) for i in facts.positions}
    return _flag(
        facts, "too few rounds", facts.where(lambda i: 0 < rounds[i] < MIN_ROUNDS), lambda i: f"{rounds[i]} round{'s' * (rounds[i] != 1)}",
        f"Runs differ by themselves; below {MIN_ROUNDS} rounds there is no interval, and no difference can be told from chance.",
        "Run it with rounds: 5",
    )  # fmt: skip


def compiling_dominates(facts: Facts) -> Flag | None:
    def share(i: int) -> float:
        took = [r["seconds"] for r in facts.record["runs"] if r["variant"] == i and r["kind"] == "speed" and r["seconds"]]
        compiled = facts.values(i, "compile_seconds")
        return max(compiled) / median(took) if took and compiled else 0.0

    return _flag(
        facts, "compile time dominates", facts.where(lambda i: share(i) > _COMPILING_DOMINATES),
        lambda i: f"{format_seconds(max(facts.values(i, 'compile_seconds')))} of compiling are {share(i):.0%} of its run",
        "Compiling pays off over many calls of the same shape; in a short job it costs more than it saves.",
        "Compare with the same stack uncompiled, and count how many calls you will make",
    )  # fmt: skip


def quality_not_measured(facts: Facts) -> Flag | None:
    decides = decisive(facts.record)
    name = decides.quality
    if name is None or METRICS[name].kind != "quality":
        return None
    random = facts.model["source"] == "shape"
    having = facts.where(lambda i: bool(facts.values(i, decides.speed)) and not facts.values(i, name))
    return _flag(
        facts, "quality not measured", having, lambda i: "random weights" if random else f"{METRICS[name].label.lower()} has no value",
        "A technique that changes numbers can be fast and wrong; the chapter's losses below 1 % are claims to test.",
        "Measure the same stacks on a real model" if random else "Let the workload measure quality",
    )  # fmt: skip


def batch_one_only(facts: Facts) -> Flag | None:
    batches = {r.point["batch"] for r in facts.rows if r.value is not None and "batch" in r.point}
    return _flag(
        facts, "batch 1 only", list(facts.positions) if batches == {1} and not _trains(facts) else [], lambda i: "every point is at batch 1",
        "At batch 1 decoding reads all weights for one token and leaves the arithmetic idle; the ranking can turn over at larger batches.",
        "Add batch sizes, for example 1 and 8",
    )  # fmt: skip


def int8_without_instructions(facts: Facts) -> Flag | None:
    flags = facts.environment.get("cpu_flags")
    lacking = facts.environment.get("device_kind") == "cpu" and flags is not None and not set(flags) & set(_INT8_INSTRUCTIONS)
    return _flag(
        facts, "int8 on a CPU without VNNI", facts.where(lambda i: lacking and facts.uses(i, *_INT8_ARITHMETIC)),
        lambda i: f"the CPU has {', '.join(flags or ()) or 'none of the flags that are looked for'}",
        "The chapter's 3 to 4 times come from 8-bit dot-product instructions (VNNI, AMX); without them int8 saves memory, not time.",
        "Quantize the weights alone", "torchao_int8_weight_only",
    )  # fmt: skip


def tf32_off(facts: Facts) -> Flag | None:
    environment = facts.environment
    able = environment.get("device_kind") == "cuda" and (environment.get("capability") or [0])[0] >= 8
    highest = environment.get("float32_matmul_precision") != "highest"  # how records said it before the evidence did
    off = facts.where(lambda i: able and facts.only_float32(i) and not facts.loaded(i).get("tf32", highest))
    return _flag(
        facts, "TF32 off", off, lambda i: "float32 matrix products without TF32",
        "This GPU multiplies float32 several times faster in TF32, so a gain over such a baseline is partly the baseline's.",
        "Add a float32 variant with tf32: true", "float32",
    )  # fmt: skip


def full_fine_tuning(facts: Facts) -> Flag | None:
    if not _trains(facts) or facts.model["source"] == "none" or any(facts.uses(i, "lora") for i in facts.positions):
        return None
    return _flag(
        facts, "full fine-tuning", list(facts.positions), lambda i: f"peak memory {facts.value_text(i, 'peak_memory_bytes')}",
        "Every parameter has a gradient and optimizer state. The chapter's red flag is not to consider an adapter, QLoRA with bnb_4bit under it.",
        "Add a variant with an adapter", "lora",
    )  # fmt: skip


def out_of_memory_without_checkpointing(facts: Facts) -> Flag | None:
    return _flag(
        facts, "out of memory without checkpointing",
        facts.where(lambda i: i in _too_large(facts) and not facts.uses(i, "gradient_checkpointing")),
        lambda i: f"did not fit at {_too_large(facts)[i]}",
        "Recomputing activations in the backward pass trades, by the chapter, 20 to 30 % of time for half of the memory.",
        "Checkpoint the layers", "gradient_checkpointing",
    )  # fmt: skip


def out_of_memory_unsharded(facts: Facts) -> Flag | None:
    return _flag(
        facts, "out of memory with a whole copy on each GPU",
        facts.where(lambda i: i in _too_large(facts) and facts.uses(i, "ddp", "data_parallel")),
        lambda i: f"did not fit at {_too_large(facts)[i]}",
        "With data parallelism every device holds all parameters, gradients and optimizer state; sharded, each holds its part.",
        "Shard them", "fsdp",
    )  # fmt: skip


def data_parallel(facts: Facts) -> Flag | None:
    return _flag(
        facts, "DataParallel", facts.where(lambda i: facts.uses(i, "data_parallel")), lambda i: "one process for all devices",
        "One process copies the model in every step, and the first device collects all gradients.",
        "Use one process for each device", "ddp",
    )  # fmt: skip


def nothing_quantized(facts: Facts) -> Flag | None:
    known = discover().techniques
    slots = [known[t["technique"]].slot for v in facts.record["variants"] for t in v["stack"] if t["technique"] in known]
    if _trains(facts) or facts.model["source"] == "none" or Slot.WEIGHTS in slots or any(facts.uses(i, "onnxruntime_int8") for i in facts.positions):
        return None
    served_on_cpu = facts.environment.get("device_kind") == "cpu" and facts.workload is not None and not facts.workload.generates
    return Flag(
        "nothing quantized", "idea", facts.names(list(facts.positions)), "no variant has quantized weights",
        "For inference the chapter's checklist begins with int8 weights" + (", and on a CPU with a quantized ONNX Runtime." if served_on_cpu else "."),
        "Add a quantized variant", "onnxruntime_int8" if served_on_cpu else "torchao_int8_weight_only",
    )  # fmt: skip


CHECKS: tuple[Callable[[Facts], Flag | None], ...] = (
    no_kv_cache, float32_training, float16_training, attention_not_fused, no_warm_up, too_few_rounds, compiling_dominates,
    quality_not_measured, batch_one_only, int8_without_instructions, tf32_off, full_fine_tuning,
    out_of_memory_without_checkpointing, out_of_memory_unsharded, data_parallel, nothing_quantized,
)  # fmt: skip


def _trains(facts: Facts) -> bool:
    return facts.workload is not None and facts.workload.trains


def _too_large(facts: Facts) -> dict[int, str]:
    """{variant: the first point of training that it did not fit into memory at}."""
    full = [r for r in reversed(facts.rows) if r.metric == "step_seconds" and r.status == Status.OUT_OF_MEMORY]
    return {r.position: r.point_label for r in full} if _trains(facts) else {}


def _flag(
    facts: Facts, name: str, having: list[int], evidence: Callable[[int], str], why: str, remedy: str, technique: str | None = None
) -> Flag | None:
    """One flag over all variants that have it; what several share is said once. None where no variant has it."""
    if not having:
        return None
    of: dict[str, list[int]] = {}
    for position in having:
        of.setdefault(evidence(position), []).append(position)
    severity: Severity = "warning" if facts.measured <= set(having) else "note"
    said = "; ".join(text if len(positions) == len(facts.positions) else f"{', '.join(facts.names(positions))}: {text}" for text, positions in of.items())
    return Flag(name, severity, facts.names(having), said, why, remedy, technique)

