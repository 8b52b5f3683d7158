"""The metric table: unit, label, direction, margin and format of everything that is measured.

Owns every fact about a metric. Nothing else in the project knows a unit or which way is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["speed", "memory", "energy", "quality", "fidelity"]
Pairing = Literal["rounds", "blocks", "examples", "detections"]


@dataclass(frozen=True)
class Metric:
    """One row of the vocabulary.

    `margin` is the smallest relative change that matters in practice (0.02 = 2 %); verdicts use it.
    `higher_is_better` is None for metrics that have no good direction.
    `paired_by`: what variant and baseline are compared over. Quality is measured once, on samples of the same data: the
    blocks of a text, or labelled examples that are right (1) or wrong (0); as detections also neither (-1).
    `compared` is False where a ratio to the baseline means nothing (the baseline's KL divergence is 0).
    """

    name: str
    label: str
    unit: str
    kind: Kind
    higher_is_better: bool | None
    margin: float
    help: str
    compared: bool = True
    paired_by: Pairing = "rounds"

    def format(self, value: float | None) -> str:
        """Text for people: three significant digits and a unit they know."""
        if value is None:
            return "not measured"
        if self.unit == "bytes":
            return format_bytes(value)
        if self.unit == "s":
            return format_seconds(value)
        if self.unit == "fraction":
            return f"{value * 100:.1f} %"
        digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return digits if self.unit in ("", "nats") else f"{digits} {self.unit}"


def format_bytes(value: float) -> str:
    """1024-based, as memory is sold: 538090408 -> '513 MiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024 or unit == "GiB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def format_seconds(value: float) -> str:
    """Seconds, milliseconds or microseconds, three significant digits."""
    if abs(value) >= 1:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if abs(value) >= 1e-3 else f"{value * 1e6:.3g} µs"


_SPEED, _MEMORY, _QUALITY = 0.02, 0.005, 0.01
# The counter's own step is up to a tenth of the shortest pass, at both ends partly.
_ENERGY = 0.05

METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("ttft_seconds", "Time to first token", "s", "speed", False, _SPEED,
               "From the call to the first new token: the prefill of the whole prompt and one sampling step."),
        Metric("inter_token_latency_seconds", "Inter-token latency", "s", "speed", False, _SPEED,
               "(end to end - time to first token) / (new tokens - 1), per sequence."),
        Metric("prefill_tokens_per_second", "Prefill throughput", "tok/s", "speed", True, _SPEED,
               "Prompt tokens of the whole batch / time to first token."),
        Metric("decode_tokens_per_second", "Decode throughput", "tok/s", "speed", True, _SPEED,
               "New tokens of the whole batch after the first / time after the first."),
        Metric("generation_seconds", "Whole generation", "s", "speed", False, _SPEED,
               "One call of a whole batch, from the prompts to the last new token."),
        Metric("forward_seconds", "Forward pass", "s", "speed", False, _SPEED,
               "One call of the model on a whole batch, without tokenization; the median over batches or calls."),
        Metric("seconds_per_example", "Time per example", "s", "speed", False, _SPEED,
               "Seconds of the forward passes / examples in them, without tokenization."),
        Metric("examples_per_second", "Examples per second", "ex/s", "speed", True, _SPEED,
               "Examples of the whole batch / seconds of its forward pass."),
        Metric("load_seconds", "Load time", "s", "speed", False, _SPEED,
               "Reading the weights and applying the techniques, once per process."),
        Metric("first_call_seconds", "First call", "s", "speed", False, _SPEED,
               "The first call in a fresh process (of attention: at a length): includes compilation and lazy set-up."),
        Metric("compile_seconds", "Compile time", "s", "speed", False, _SPEED,
               "Seconds of tracing, compiling and freezing the model within the run, apart from running it. Not measured where "
               "nothing is compiled. torch.compile: TorchDynamo's own clock, without what CUDA graphs take to record."),
        Metric("kernel_seconds", "Kernel time", "s", "speed", False, _SPEED,
               "One pass through the kernel: CUDA events on a GPU, with work queued ahead so that launching is not counted; "
               "wall time on a CPU."),
        Metric("tflops_per_second", "Rate of arithmetic", "TFLOP/s", "speed", True, _SPEED,
               "Attention's arithmetic / kernel time: 4 x batch x heads x length^2 x head dimension per layer, halved if causal, "
               "x 3.5 for forward and backward, as in the FlashAttention papers. What a kernel computes beyond that is not counted."),
        Metric("ceiling_share", "Share of the matrix-product ceiling", "fraction", "speed", True, _SPEED,
               "Rate of arithmetic / the rate of one large matrix product in the same number type, measured in the same run."),
        Metric("ceiling_tflops_per_second", "Matrix-product ceiling", "TFLOP/s", "speed", None, _SPEED,
               "The best of several large matrix products in the workload's number type, in the same run."),
        Metric("step_seconds", "Training step", "s", "speed", False, _SPEED,
               "One optimizer step with all of its micro-batches, by the device's clock. Of several processes, the slowest in that step."),
        Metric("step_forward_seconds", "Forward passes of a step", "s", "speed", False, _SPEED,
               "Forward passes of all micro-batches of one optimizer step."),
        Metric("step_backward_seconds", "Backward passes of a step", "s", "speed", False, _SPEED,
               "Backward passes of all micro-batches of one optimizer step, recomputation and exchange of gradients included."),
        Metric("step_optimizer_seconds", "Optimizer part of a step", "s", "speed", False, _SPEED,
               "The optimizer's update, unscaling and clearing of gradients included."),
        Metric("training_tokens_per_second", "Training throughput", "tok/s", "speed", True, _SPEED,
               "Tokens that all ranks trained on / time from the first timed step to the end of the last."),
        Metric("forward_backward_seconds", "Forward and backward pass", "s", "speed", False, _SPEED,
               "One forward and one backward pass through all layers, without an optimizer."),
        Metric("energy_joules_per_token", "Energy per new token", "J", "energy", False, _ENERGY,
               "Measured by NVML's counter of the GPU's whole energy around a pass of its own that lasts at least a second, idle subtracted "
               "(the power between passes, model loaded). Per new token, the prompt's share included. Not the rest of the machine."),
        Metric("energy_joules_per_training_token", "Energy per training token", "J", "energy", False, _ENERGY,
               "The same for training: per token of whole optimizer steps."),
        Metric("weight_bytes", "Weights", "bytes", "memory", False, _MEMORY,
               "Counted from the real storage of every tensor the model holds, packed ones included. "
               "Of several processes that share the work, what one of them holds."),
        Metric("bits_per_parameter", "Weights per parameter", "bits", "memory", False, _MEMORY,
               "8 x bytes of the weights / parameters of the model as its config describes it, tied ones once. Scales, zero points and "
               "what a technique leaves unpacked are all in it."),
        Metric("kv_cache_bytes", "KV cache", "bytes", "memory", False, _MEMORY,
               "Bytes of keys and values held after the last token, counted from the cache itself."),
        Metric("peak_memory_bytes", "Peak memory of a call", "bytes", "memory", False, _MEMORY,
               "GPU: peak of live tensors (torch allocator). CPU: high-water mark of the whole process during the call. "
               "Of several processes that share the work, the one with most."),
        Metric("peak_memory_all_ranks_bytes", "Peak memory, all processes", "bytes", "memory", False, _MEMORY,
               "Sum of the peaks of all processes that share the training. What they share of one machine's memory, such as "
               "the code of libraries, is in each of them."),
        Metric("reserved_memory_bytes", "Reserved peak", "bytes", "memory", False, _MEMORY,
               "GPU: peak that the caching allocator took from the driver; what decides out of memory."),
        Metric("load_peak_memory_bytes", "Peak memory of loading", "bytes", "memory", False, _MEMORY,
               "The same counter as the peak of a call, while loading and converting."),
        Metric("extra_peak_bytes", "Extra peak memory", "bytes", "memory", False, _MEMORY,
               "Peak of one pass above what its inputs and results need. GPU: torch allocator. CPU: high-water mark of the process."),
        Metric("activation_bytes", "Activations kept", "bytes", "memory", False, _MEMORY,
               "Bytes that are kept from the forward pass for the backward pass, inputs and parameters left out; counted as autograd keeps them."),
        Metric("optimizer_state_bytes", "Optimizer state", "bytes", "memory", False, _MEMORY,
               "Bytes of all tensors that the optimizer keeps between steps, counted from their real storage. "
               "Of several processes that share the work, what one of them keeps."),
        Metric("peak_weight_bytes", "Weights at the peak", "bytes", "memory", False, _MEMORY,
               "Of the live tensors at the peak of a training step: parameters and buffers."),
        Metric("peak_gradient_bytes", "Gradients at the peak", "bytes", "memory", False, _MEMORY,
               "Of the live tensors at the peak of a training step: gradients of parameters."),
        Metric("peak_optimizer_bytes", "Optimizer at the peak", "bytes", "memory", False, _MEMORY,
               "Of the live tensors at the peak of a training step: optimizer state, and what the optimizer needs for its update."),
        Metric("peak_activation_bytes", "Activations at the peak", "bytes", "memory", False, _MEMORY,
               "Of the live tensors at the peak of a training step: results of the forward pass, recomputed ones included."),
        Metric("peak_other_bytes", "Other at the peak", "bytes", "memory", False, _MEMORY,
               "Of the live tensors at the peak of a training step: temporary results of the backward pass, a gradient that its "
               "parameter has not yet taken among them."),
        Metric("adapter_bytes", "Adapter on disk", "bytes", "memory", False, _MEMORY,
               "Bytes of the adapter's files: its weights and its configuration."),
        Metric("total_parameters", "Parameters", "", "memory", None, _MEMORY,
               "Numbers that the model's parameters stand for, adapters included."),
        Metric("trainable_parameters", "Trainable parameters", "", "memory", None, _MEMORY,
               "Numbers in the parameters that take gradients."),
        Metric("perplexity_before_training", "Perplexity before training", "", "quality", False, _QUALITY,
               "Perplexity on the held-out text before the first step.", paired_by="blocks"),
        Metric("merged_perplexity", "Perplexity, adapter merged", "", "quality", False, _QUALITY,
               "Perplexity on the held-out text after training, with the adapter added into the weights. Quantized weights are rounded anew.",
               paired_by="blocks"),
        Metric("training_loss", "Training loss", "nats", "quality", None, _QUALITY,
               "Mean loss of each step; the value is the mean of the last quarter. What is compared is the held-out perplexity."),
        Metric("perplexity", "Perplexity", "", "quality", False, _QUALITY,
               "exp of the mean negative log-likelihood per token on the stated text and context length. A KV cache that is not exact "
               "is read through as in decoding.", paired_by="blocks"),
        Metric("accuracy", "Accuracy", "fraction", "quality", True, _QUALITY,
               "Share of the labelled examples that were answered right.", paired_by="examples"),
        Metric("attention_error", "Error against float64", "", "quality", False, 0.10,
               "Largest absolute difference from attention in float64 on the same inputs, over up to 128 query rows of every head, "
               "divided by the largest absolute value of the reference. Forward pass. One sample per head and sequence.",
               paired_by="blocks"),
        Metric("accuracy_normalized", "Accuracy, length-normalized", "fraction", "quality", True, _QUALITY,
               "Share of the questions whose right answer has the highest log-likelihood per character (acc_norm).", paired_by="examples"),
        Metric("f1", "F1", "fraction", "quality", True, _QUALITY,
               "Harmonic mean of precision and recall of the class with label 1.", paired_by="detections"),
        Metric("kl_divergence", "KL divergence to the baseline", "nats", "fidelity", False, _QUALITY,
               "Mean over tokens of KL(baseline || variant). Fidelity, not accuracy loss.", compared=False),
        Metric("top1_agreement", "Top-1 agreement with the baseline", "fraction", "fidelity", True, _QUALITY,
               "Share of positions where both give the same most likely token. Fidelity, not accuracy loss.", compared=False),
        Metric("prediction_agreement", "Same predictions as the baseline", "fraction", "fidelity", True, _QUALITY,
               "Share of the examples that both give the same answer; the rest are flips. Fidelity, not accuracy.", compared=False),
        Metric("embedding_cosine", "Embedding cosine to the baseline", "fraction", "fidelity", True, _QUALITY,
               "Mean over sentences of the cosine between the mean-pooled embeddings of both. Fidelity, not accuracy.", compared=False),
    )
}


def metric(name: str) -> Metric:
    """Look a metric up; KeyError names the known ones."""
    try:
        return METRICS[name]
    except KeyError:
        raise KeyError(f"unknown metric {name!r}; known: {', '.join(sorted(METRICS))}") from None


_COUNTED = frozenset({
    "weight_bytes", "bits_per_parameter", "kv_cache_bytes", "activation_bytes", "optimizer_state_bytes", "adapter_bytes",
    "total_parameters", "trainable_parameters",
})  # fmt: skip
_COUNTED_BY_THE_ALLOCATOR = frozenset({
    "peak_memory_bytes", "peak_memory_all_ranks_bytes", "load_peak_memory_bytes", "extra_peak_bytes", "peak_weight_bytes",
    "peak_gradient_bytes", "peak_optimizer_bytes", "peak_activation_bytes", "peak_other_bytes",
})  # fmt: skip


def repeats_exactly(metric: Metric, device_kind: str) -> bool:
    """Whether another round gives the same number: it is counted from tensors, on a GPU also by torch's allocator.

    A CPU's peak is that of a process, which moves by a few per cent.
    """
    return metric.name in _COUNTED or (device_kind == "cuda" and metric.name in _COUNTED_BY_THE_ALLOCATOR)
