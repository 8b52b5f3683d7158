"""Why the variants of an experiment are as they are, how their changes go together, and what they answer. Draws; computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import show, store, tables, words
from dashboard.controls import Controls
from engine.answers.explain import said
from engine.answers.outputs import Output, outputs
from engine.record import Record
from engine.registry import discover


def section(record: Record) -> None:
    """What holds for all variants is said once."""
    explained, found = store.explained(record["experiment"]["id"])
    st.header("Why", divider="gray")
    if any(w.regimes for w in explained):
        show.table(tables.regimes(explained), "What limits each phase of each variant, with its shares of the ceilings.", "regimes")
        st.caption(words.LIMIT_HELP)
    common, own = said(explained)
    if common:
        st.caption(words.escape(f"All variants: {' '.join(common)}"))
    for variant, sentences in own.items():
        if sentences:
            st.markdown(f"**{words.escape(variant)}**  \n{words.escape(' '.join(sentences))}")
    if found:
        st.subheader("Interactions")
        show.table(tables.interactions(found), "Pairs of changes: each alone, their product, and both measured together.", "interactions")
        st.caption("more than the product: together they do better than their single effects multiplied, in the metric's good direction.")


def answers(record: Record, controls: Controls) -> None:
    """The same prompt, the baseline's answer and another's side by side. Nothing where the workload generates nothing."""
    workload = discover().workloads.get(record["experiment"]["spec"]["workload"]["name"])
    if workload is None or not workload.generates:
        return
    found = outputs(record)
    shown = [o for o in found if o.answer is not None]
    st.subheader("Answers side by side")
    for problem in dict.fromkeys(o.problem for o in found if o.problem):
        names = [o.variant for o in found if o.problem == problem]
        st.caption(words.escape(f"No answer of {'any variant' if len(names) == len(found) else ', '.join(names)}: {problem}."))
    if not shown:
        return
    base = next((o for o in shown if o.baseline), None)
    others = {o.variant: o for o in shown if not o.baseline}
    pair = [base] if base else []
    controls.select("beside", "Beside the baseline", lambda position: str(record["variants"][int(position)]["name"]))
    chosen = others.get(record["variants"][int(controls["beside"])]["name"]) if controls["beside"] else None
    if chosen is not None:
        pair.append(chosen)
    if not pair:
        return
    side_by_side(pair)


def side_by_side(pair: Sequence[Output]) -> None:
    """One or two answers, the baseline's first where it has one. Where the two were asked differently, no token is marked."""
    prompts = list(dict.fromkeys(o.answer.prompt for o in pair if o.answer is not None))
    for prompt in prompts:
        st.caption(words.escape(f"The prompt ends: … {prompt}"))
    compared = pair[0].baseline and len(prompts) == 1
    for column, output in zip(st.columns(len(pair), border=True), pair, strict=True):
        with column:
            _answer(output, pair[-1].diverges_at if compared else None, compared=compared and not output.baseline)


def _answer(output: Output, at: int | None, *, compared: bool) -> None:
    """One answer; at: the token from which on the two differ, which is marked in both. compared: whether it has the baseline beside it."""
    assert output.answer is not None
    same, rest = output.split(at)
    st.markdown(f"**{words.escape(output.variant)}**{' (the baseline)' if output.baseline else ''}")
    mark = f" **▸ token {at + 1}:** :orange-background[{words.escape(rest) or ' '}]" if at is not None else ""
    st.markdown(words.escape(same) + mark)
    count = len(output.answer.ids)
    if compared:
        st.caption(f"Identical to the baseline's in all {count} tokens." if at is None else f"The same as the baseline's up to token {at} of {count}.")
