"""Where the time of the profiled steps went: shares per variant, stacked, and the largest operators of one variant.

Numbers and their rule come from engine.profiles; nothing is measured or judged here.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import BLUE, GOLD, GREY, VERMILION, finish, theme
from dashboard.words import chart_text, percent_text
from engine.metrics import format_bytes, format_seconds
from engine.profiles import RULE, SHARES, Profile, kind_of

_LOOK = {
    "matrix_products": (BLUE, ""), "memory_bound": (VERMILION, "x"), "launch_and_idle": (GOLD, "/"),
    "outside_operators": (GREY, "\\"),
}  # fmt: skip
_ROW, _FRAME, _OPERATOR_ROW, _BARS = 46, 110, 30, 12


def share_frame(profiles: Mapping[str, Profile]) -> pd.DataFrame:
    """One row per variant x share, in the order given. Columns: variant, share, value (0 to 1). Profiles without shares have no rows."""
    rows = [(name, share, found.shares[share]) for name, found in profiles.items() if found.shares for share in SHARES if share in found.shares]
    return pd.DataFrame(rows, columns=["variant", "share", "value"])


def share_bars(frame: pd.DataFrame, *, dark: bool) -> go.Figure:
    """frame: share_frame. One bar per variant, its parts add up to 100 %."""
    colours = theme(dark)
    names = list(dict.fromkeys(frame["variant"]))
    figure = go.Figure()
    for share, rows in frame.groupby("share", sort=False):
        colour, pattern = _LOOK[str(share)]
        figure.add_trace(go.Bar(
            y=[names.index(v) for v in rows["variant"]], x=rows["value"] * 100, orientation="h", name=SHARES[str(share)],
            marker=dict(color=colour, pattern=dict(shape=pattern, solidity=0.25, fgcolor=colours.background)),
            customdata=[[chart_text(v, 60), percent_text(x)] for v, x in zip(rows["variant"], rows["value"], strict=True)],
            hovertemplate="<b>%{customdata[0]}</b><br>" + SHARES[str(share)] + ": %{customdata[1]}<extra></extra>",
        ))  # fmt: skip
    finish(figure, colours, _FRAME + _ROW * max(len(names), 1))
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(names))), ticktext=[chart_text(n, 24) for n in names])
    figure.update_xaxes(title_text="Share of the steps' time (%)", range=[0, 100])
    return figure


def share_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same as a table: one row per variant, a column per share."""
    rows = [
        {"Variant": variant} | {SHARES[r.share]: percent_text(r.value) for r in own.itertuples()}
        for variant, own in frame.groupby("variant", sort=False)
    ]
    return pd.DataFrame(rows).fillna("")


def describe_shares(frame: pd.DataFrame, device: str) -> str:
    """The bars in words, with the rule that they come from."""
    parts = [
        f"{variant}: {', '.join(f'{SHARES[r.share]} {percent_text(r.value)}' for r in rows.itertuples())}."
        for variant, rows in frame.groupby("variant", sort=False)
    ]
    return " ".join([*parts, RULE[device]])


def operator_frame(profile: Profile) -> pd.DataFrame:
    """One row per operator, largest first. Columns: name, kind, calls, cpu_seconds, device_seconds, memory_bytes, seconds, share.

    seconds: what it is ranked by; share: of all operators' time.
    """
    whole = profile.total_seconds or 1.0
    rows = [
        (o.name, kind_of(o.name), o.calls, o.cpu_seconds, o.device_seconds, o.memory_bytes, profile.seconds(o), profile.seconds(o) / whole)
        for o in profile.operators
    ]
    columns = ["name", "kind", "calls", "cpu_seconds", "device_seconds", "memory_bytes", "seconds", "share"]
    return pd.DataFrame(rows, columns=columns)


def operator_bars(frame: pd.DataFrame, device: str, *, dark: bool) -> go.Figure:
    """frame: operator_frame. The first twelve; colour and pattern say the kind."""
    colours, drawn = theme(dark), frame.head(_BARS)
    factor, unit = (1.0, "s") if len(drawn) and drawn["seconds"].max() >= 1 else (1e3, "ms")
    figure = go.Figure()
    for kind, rows in drawn.groupby("kind", sort=False):
        colour, pattern = _LOOK[str(kind)]
        figure.add_trace(go.Bar(
            y=list(rows.index), x=rows["seconds"] * factor, orientation="h", name=SHARES[str(kind)],
            marker=dict(color=colour, pattern=dict(shape=pattern, solidity=0.25, fgcolor=colours.background)),
            text=[percent_text(s) for s in rows["share"]], textposition="outside", cliponaxis=False, textfont=dict(size=11, color=colours.text),
            customdata=[[chart_text(r.name, 80), format_seconds(r.seconds), r.calls] for r in rows.itertuples()],
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]} in %{customdata[2]} calls<extra></extra>",
        ))  # fmt: skip
    finish(figure, colours, _FRAME + _OPERATOR_ROW * max(len(drawn), 1))
    figure.update_layout(barmode="overlay", bargap=0.25)
    figure.update_yaxes(autorange="reversed", tickvals=list(drawn.index), ticktext=[chart_text(n.rpartition("::")[2], 26) for n in drawn["name"]])
    largest = float(drawn["seconds"].max()) * factor if len(drawn) else 1.0
    where = "GPU" if device == "cuda" else "CPU"
    figure.update_xaxes(title_text=f"Self {where} time ({unit})", range=[0, (largest or 1.0) * 1.2])
    return figure


def describe_operators(frame: pd.DataFrame, profile: Profile) -> str:
    """The bars in words."""
    if frame.empty:
        return "The profiler saw no operator."
    where = "GPU" if profile.device == "cuda" else "CPU"
    first = ", ".join(f"{r.name} {percent_text(r.share)}" for r in frame.head(3).itertuples())
    return f"The largest of {profile.operators_total} operators by self {where} time: {first} of {format_seconds(profile.total_seconds)}."


def operator_table(frame: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """The bars and all that is known of every listed operator, as text with units."""
    table = pd.DataFrame({
        "Operator": frame["name"], "Kind": [SHARES[k] for k in frame["kind"]], "Calls": frame["calls"],
        "Self CPU time": [format_seconds(s) for s in frame["cpu_seconds"]],
    })  # fmt: skip
    if profile.device == "cuda":
        table["Self GPU time"] = [format_seconds(s) for s in frame["device_seconds"]]
    table["Share"] = [percent_text(s) for s in frame["share"]]
    table["Memory taken, net"] = [format_bytes(b) for b in frame["memory_bytes"]]
    return table


def part_table(profile: Profile) -> pd.DataFrame:
    """Named regions of the step, then the kernels of a GPU, with calls and times as text."""
    rows = [("region", r.name, r.calls, format_seconds(r.cpu_seconds), format_seconds(r.device_seconds)) for r in profile.regions]
    rows += [("kernel", k.name, k.calls, "", format_seconds(k.seconds)) for k in profile.kernels]
    table = pd.DataFrame(rows, columns=["What", "Name", "Calls", "CPU time", "GPU time"])
    return table if profile.device == "cuda" else table.drop(columns="GPU time")
