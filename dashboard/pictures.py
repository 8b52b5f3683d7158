"""The charts of an experiment, each with its words and its table: what pages draw, and what a report holds. Draws no widget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import iterations as iteration
from dashboard.charts import loss, memory, profile, samples, scaling, tradeoff, training_memory
from dashboard.charts.style import family_of
from dashboard.links import ChartView
from engine.decisive import Decisive, decisive
from engine.metrics import METRICS
from engine.profiles import Profile, read_profile
from engine.record import Record, control_position, device_memory_bytes
from engine.tradeoff import wide


@dataclass(frozen=True)
class Picture:
    """words: the chart in words, for those who do not see it. twin: makes the same as a table. drawn: the numbers that it is made from,
    where they are to be had as a file."""

    figure: go.Figure
    words: str
    twin: Callable[[], pd.DataFrame]
    drawn: pd.DataFrame | None = None


def axes(summary: pd.DataFrame, decides: Decisive) -> list[str]:
    """Metrics that can be an axis, in the order of the metric table."""
    there = set(summary["metric"])
    return [name for name in METRICS if name in there] or list(decides.axes)


def points(summary: pd.DataFrame, decides: Decisive) -> list[str]:
    """Labels of the points that the deciding speed was measured at, in the order of measuring."""
    return list(dict.fromkeys(summary[summary["metric"] == decides.speed]["point_label"]))


def default_axes(summary: pd.DataFrame, decides: Decisive) -> tuple[str, str]:
    """Memory across and speed up, where they are there."""
    known = axes(summary, decides)
    x, y = (name if name in known else known[0] for name in decides.axes)
    return x, y


def without_control(record: Record, summary: pd.DataFrame) -> pd.DataFrame:
    """The baseline measured a second time is no choice, and nothing to compare qualities with."""
    return summary[summary["position"] != control_position(record)]


def trade_off(record: Record, summary: pd.DataFrame, view: ChartView, *, dark: bool) -> Picture:
    """The scatter of two metrics, and the qualities that belong to its speeds on hover."""
    summary = without_control(record, summary)
    chosen = wide(summary, view.x, view.y, x_point=_at(summary, view.x, view.point), y_point=_at(summary, view.y, view.point))
    figure = tradeoff.tradeoff(
        chosen, view.x, view.y, {v["name"]: family_of(v["stack"]) for v in record["variants"]}, dark=dark,
        beside=tradeoff.quality_texts(summary, decisive(record).quality), capacity=device_memory_bytes(record),
    )  # fmt: skip
    return Picture(figure, tradeoff.describe(chosen, view.x, view.y), lambda: tradeoff.table(chosen, view.x, view.y))


def _at(summary: pd.DataFrame, metric: str, point: str | None) -> str | None:
    """A metric that does not have the point is shown at its own first one."""
    return point if point in set(summary[summary["metric"] == metric]["point_label"]) else None


def scaled(summary: pd.DataFrame, decides: Decisive) -> tuple[list[str], str | None]:
    """(metrics that can be drawn over the one number that the points differ in, the one to begin with: a time if there is one)."""
    _, key = scaling.scaling_frame(summary, decides.speed)
    if key is None:
        return [], None
    offered = dict.fromkeys([*decides.names, *(name for name, metric in METRICS.items() if metric.kind == "memory")])
    known = [name for name in offered if scaling.scaling_frame(summary, name)[1] == key]
    return known, next((n for n in known if METRICS[n].kind == "speed" and METRICS[n].higher_is_better is False), known[0])


def over_length(record: Record, summary: pd.DataFrame, name: str, *, dark: bool) -> Picture:
    """A metric of `scaled` over that number."""
    frame, key = scaling.scaling_frame(summary, name)
    assert key is not None
    figure = scaling.scaling(frame, key, name, dark=dark, capacity=device_memory_bytes(record))
    return Picture(figure, scaling.describe(frame, key, name), lambda: scaling.table(frame, key, name))


def memory_bars(record: Record, summary: pd.DataFrame, point: str | None, *, dark: bool) -> Picture:
    frame = memory.memory_frame(summary, point)
    figure = memory.memory_bars(frame, dark=dark, capacity=device_memory_bytes(record))
    return Picture(figure, memory.describe(frame), lambda: memory.table(frame))


def memory_split(record: Record, summary: pd.DataFrame, point: str | None, *, dark: bool) -> Picture | None:
    """What holds memory at the peak of a training step; None where no step was taken apart."""
    frame = training_memory.split_frame(summary, point, training_memory.predictions(record))
    if frame.empty:
        return None
    return Picture(training_memory.split_bars(frame, dark=dark), training_memory.describe(frame), lambda: training_memory.split_table(frame))


def loss_lines(record: Record, over: loss.Over, *, dark: bool) -> Picture | None:
    """None where no variant was trained for its quality."""
    frame = loss.loss_frame(record)
    return None if frame.empty else Picture(loss.loss_lines(frame, over, dark=dark), loss.describe(frame, over), lambda: loss.table(frame))


def sample_strips(record: Record, metric: str, point: str, *, dark: bool) -> Picture:
    """The record must be loaded with all samples."""
    frame = samples.sample_frame(record, metric, point)
    return Picture(samples.sample_strips(frame, metric, dark=dark), samples.describe(frame), lambda: samples.table(frame, metric))


def iterations(record: Record, metric: str, point: str, variant: str, *, dark: bool) -> Picture:
    """One variant's samples in the order of measuring. The record must be loaded with all samples."""
    frame = iteration.iteration_frame(samples.sample_frame(record, metric, point), variant)
    return Picture(iteration.iteration_lines(frame, metric, dark=dark), iteration.describe(frame, metric), lambda: iteration.table(frame, metric))


def profiles(record: Record) -> dict[str, Profile | str]:
    """{variant: its profile, or why there is none} of the variants whose profile was asked for."""
    return {record["variants"][r["variant"]]["name"]: read_profile(r) for r in record["runs"] if r["kind"] == "profile"}


def profile_shares(found: dict[str, Profile], *, dark: bool) -> Picture | None:
    """None where no profile knows its shares."""
    frame = profile.share_frame(found)
    if frame.empty:
        return None
    device = next(p.device for p in found.values() if p.shares)
    return Picture(profile.share_bars(frame, dark=dark), profile.describe_shares(frame, device), lambda: profile.share_table(frame))
