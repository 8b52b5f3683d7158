"""The results of one experiment as pages show them: best so far, trade-off, memory, samples. Draws; computes nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import pictures, show, store, tables, words
from dashboard.charts import tradeoff
from dashboard.links import ChartView
from engine.cells import NOT_MEASURED
from engine.control import UNRELIABLE
from engine.decisive import Decisive, decisive
from engine.flips import flips
from engine.looks import answered
from engine.metrics import METRICS
from engine.record import Record

_NOTICEABLE_SHARE = 0.1


def status(record: Record) -> str:
    """How far it is; a bundle whose measuring was stopped early says so."""
    text = words.experiment_status(dict(Counter(r["status"] for r in record["runs"])))
    made = sum(r["kind"] == "speed" for r in record["runs"])
    planned = len(record["variants"]) * record["experiment"]["spec"]["rounds"]
    if made >= planned:
        return text
    if (done := answered(record)) is not None:
        return f"{text}, answered after round {done} of {record['experiment']['spec']['rounds']}"
    return f"{text}, stopped early: {made} of {planned} planned speed runs"


def control(summary: pd.DataFrame) -> None:
    """Says so where the control refutes the timings; silent where it does not, or there is none."""
    refuted = summary[summary["verdict"] == UNRELIABLE]
    if len(refuted):
        st.warning(words.escape(f"The timings of this experiment are unreliable: {refuted.iloc[0]['reason'].partition('; ')[0]}."))


def trade_off(record: Record, summary: pd.DataFrame, view: ChartView, key: str) -> None:
    show.picture(pictures.trade_off(record, summary, view, dark=show.dark()), key)


def scaling_charts(record: Record, summary: pd.DataFrame, decides: Decisive) -> None:
    """Deciding metrics and memory over the one number that the points differ in. Nothing where the speed was not measured at several."""
    known, first = pictures.scaled(summary, decides)
    if not known:
        return
    st.header("Scaling", divider="gray")
    name = st.segmented_control("Over length", known, default=first, required=True, key="scaling_metric",
                                format_func=lambda n: METRICS[n].label, label_visibility="collapsed") or first  # fmt: skip
    show.picture(pictures.over_length(record, summary, str(name), dark=show.dark()), "scaling")


def memory_chart(record: Record, summary: pd.DataFrame, point: str | None, key: str) -> None:
    show.picture(pictures.memory_bars(record, summary, point, dark=show.dark()), key)


def raw_samples(experiment_id: str, summary: pd.DataFrame, first: str) -> None:
    """The samples of one metric at one point that the reader chooses; `first` is the metric that is shown until then."""
    measured = summary[summary["value"].notna() & (summary["kind"] != "fidelity")]
    pairs = list(dict.fromkeys(zip(measured["metric"], measured["point_label"], strict=True)))
    start = next((i for i, (m, _) in enumerate(pairs) if m == first), 0)
    text = {p: METRICS[p[0]].label + (f" ({p[1]})" if p[1] else "") for p in pairs}
    metric, point = st.selectbox("Metric", pairs, index=start, format_func=text.__getitem__, key="sample_metric")
    sample_chart(experiment_id, metric, point, "samples")


def quality(record: Record, summary: pd.DataFrame) -> None:
    """Quality and likeness to the baseline; for labelled examples also which answers changed."""
    if not summary["kind"].isin(("quality", "fidelity")).any():
        st.markdown("Quality: not measured in this experiment.")
        return
    show.table(tables.fidelity(pictures.without_control(record, summary)), "Quality of every variant, and how like the baseline it is.", "fidelity")
    st.caption("Divergence and agreement say how like the baseline a variant answers. They are not accuracy.")
    with_samples = store.record(record["experiment"]["id"], "quality")
    if with_samples is not None and (found := flips(with_samples)):
        show.table(tables.flips(found), "Right answers that each variant lost and gained against the baseline.", "flips")
        st.caption(
            "McNemar's exact test asks whether as many right answers would be lost and gained by chance; it looks at no other "
            "examples. Its p is shown as it is; verdicts adjust it for all that is compared."
        )


def sample_chart(experiment_id: str, metric: str, point: str, key: str) -> None:
    record = store.record(experiment_id, "all")
    if record is not None:
        show.picture(pictures.sample_strips(record, metric, point, dark=show.dark()), key)


def verdict_table(record: Record, summary: pd.DataFrame, point: str | None, key: str) -> None:
    """The metrics that decide, and a word where the control refutes the speeds, or other programs took much of the CPUs."""
    control(summary)
    show.table(tables.headline(summary, point, decisive(record)), "Every variant with its value, change against the baseline and verdict.", key)
    shares = [(r["details"] or {}).get("cpu_share_of_others", 0.0) for r in record["runs"] if r["kind"] == "speed"]
    if (worst := max(shares, default=0.0)) > _NOTICEABLE_SHARE:
        st.warning(f"Other programs took up to {worst:.0%} of the CPUs during these runs, so speeds vary more than they need to.")


def best_so_far(record: Record, summary: pd.DataFrame, decides: Decisive) -> None:
    """Three answers, each with the quality that it costs: smallest, fastest, and fastest of those that keep the quality."""
    summary = pictures.without_control(record, summary)
    speed, memory_rows = (tables.at_point(summary, name, None) for name in (decides.speed, decides.memory))
    quality = tradeoff.quality_texts(summary, decides.quality)
    answers = [("Smallest", memory_rows), ("Fastest", speed)]
    if decides.quality is not None:
        answers.append(("Fastest that keeps the quality", speed[speed["variant"].isin(_keeps(summary, decides.quality))]))
    for column, (label, rows) in zip(st.columns(len(answers), border=True), answers, strict=True):
        with column:
            _answer(label, rows[rows["value"].notna()], quality)


def _keeps(summary: pd.DataFrame, quality: str) -> set[str]:
    """Variants whose quality is not worse than the baseline's by more than the metric's margin, and the baseline."""
    rows = summary[(summary["metric"] == quality) & summary["value"].notna()].drop_duplicates("position")
    worst = 1 + METRICS[quality].margin
    kept = rows["ratio"] >= 1 / worst if METRICS[quality].higher_is_better else rows["ratio"] <= worst
    return set(rows[kept | rows["baseline"]]["variant"])


def _answer(label: str, rows: pd.DataFrame, quality: dict[str, str]) -> None:
    st.caption(label)
    if rows.empty:
        st.markdown(f"**{NOT_MEASURED}**")
        return
    metric = METRICS[rows.iloc[0]["metric"]]
    best: Any = rows.loc[rows["value"].idxmax() if metric.higher_is_better else rows["value"].idxmin()]
    change = words.change_text(best["ratio"])
    st.markdown(f"**{words.escape(best['variant'])}**")
    value = words.value_text(best["metric"], best["value"])
    verdict = words.VERDICT.get(best["verdict"], best["verdict"])
    st.markdown(words.escape(f"{value}, {change} against the baseline: {verdict}" if change else f"{value}: {verdict}"))
    st.caption(words.escape(quality.get(best["variant"], "")))
