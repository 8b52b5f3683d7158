"""What is measured of an adapter: its size on disk, and the quality of the model that it is merged into."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.measurement import Point, Status
from engine.technique import Session

if TYPE_CHECKING:
    from engine.meter import Meter
    from engine.training import Training

_IN_PARTS = "each process holds a part of every tensor; train it by ddp, or in one process"


def record_size(training: Training, meter: Meter) -> None:
    """Bytes of the files that loading the adapter needs, as peft writes them."""
    if training.sharded():
        meter.record_failure(("adapter_bytes",), {}, Status.UNSUPPORTED, _IN_PARTS)
        return
    with tempfile.TemporaryDirectory() as folder:
        training.adapter.save_pretrained(folder, save_embedding_layers=False)  # else peft asks the hub whether they have grown
        meter.record("adapter_bytes", [sum(f.stat().st_size for f in Path(folder).glob("adapter_*"))])


def record_merged(session: Session, meter: Meter, chunks: list[Any], point: Point) -> None:
    """Perplexity with the adapter's product added to the weights, which are rounded anew where they are quantized.

    The model is merged for good. `details["merged"]` compares it with the same adapter unmerged, paired by blocks of the text.
    """
    from engine.quality import perplexity
    from engine.statistics import ratio, t_interval

    assert session.training is not None
    if session.training.sharded():
        meter.record_failure(("merged_perplexity",), point, Status.UNSUPPORTED, _IN_PARTS)
        return
    meter.phase("perplexity of the merged model")
    apart = next(m for m in meter.recorded if m.metric == "perplexity")
    with warnings.catch_warnings():  # that rounding changes the answers is what is measured here
        warnings.filterwarnings("ignore", "Merge lora module to [48]-bit linear", UserWarning)
        whole = dataclasses.replace(session, model=session.training.adapter.merge_and_unload())
    perplexity(whole, meter, chunks, "merged_perplexity", point)
    merged = meter.recorded[-1]
    assert apart.value is not None and merged.value is not None
    centre = math.log(merged.value / apart.value)
    logs = [math.log(m / a) for m, a in zip(merged.samples, apart.samples, strict=True)]
    interval = [ratio(edge) for edge in t_interval(logs, centre)] if len(logs) > 1 else None
    meter.details["merged"] = {"ratio": ratio(centre), "interval": interval}
