"""The first page's answers in parts: what they are asked of, which the address holds, and one tile per answer. Ranks nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import links, pages, words
from dashboard.tray import Tray
from engine.answers.advice import Candidate, Group, Place
from engine.answers.advisor import Measured
from engine.answers.headlines import Headline
from engine.answers.question import bytes_of
from engine.metrics import METRICS
from engine.variant_ref import VariantRef

USUAL_LIMIT = "24 GB"
LIMITS = ("8 GB", "12 GB", "16 GB", USUAL_LIMIT, "40 GB", "80 GB", "141 GB")
"""Memory of GPUs that people have; any other amount may be written."""
PARAMETERS = ("model", "results", "point", "fits")


def usual(listed: pd.DataFrame) -> dict[str, Any] | None:
    """The newest experiment of this installation that has results; else the one of the project's with the most measured runs."""
    own = listed[listed["source"] != "reference"].head(1)
    theirs = listed[listed["source"] == "reference"].sort_values("succeeded", ascending=False, kind="stable").head(1)
    found: list[dict[str, Any]] = pd.concat([own, theirs]).to_dict("records")
    return found[0] if found else None


def ask(params: Mapping[str, str], listed: pd.DataFrame) -> str | None:
    """Draws the choice of model and experiment; the id of the experiment that leads. listed: experiments with results, newest first."""
    first = usual(listed)
    if first is None:
        return None
    refused = _begin(params, listed, first)
    if refused:
        st.warning(words.escape(f"The link asked for what is not here: {', '.join(refused)}"))
    left, middle, right = st.columns([2, 3, 1])
    with left:
        models = list(dict.fromkeys([first["model"], *listed["model"]]))
        model = st.selectbox("Model", models, key="answer_model", on_change=_forget, args=("answer_results", "answer_point"))
    own = listed[listed["model"] == model]
    titles = dict(zip(own["id"], own["title"], strict=True))
    if st.session_state.get("answer_results") not in titles:
        chosen = usual(own)
        assert chosen is not None, "a model is offered because an experiment of it is listed"
        st.session_state["answer_results"] = chosen["id"]
    with middle:
        found = st.selectbox("Results of", list(titles), key="answer_results", format_func=titles.__getitem__, on_change=_forget, args=("answer_point",))
    with right:
        _limit()
    return str(found)


def _begin(params: Mapping[str, str], listed: pd.DataFrame, first: dict[str, Any]) -> list[str]:
    """What the address says, once a visit; returns what it asks in vain."""
    state, refused = st.session_state, []
    if "answer_model" in state:
        return []
    model, lead = links.text(params, "model"), links.experiment_id(params, "results")
    models = dict(zip(listed["id"], listed["model"], strict=True))
    if params.get("results") and lead not in models:
        refused, lead = [f"results={params['results'][:40]}"], None
    if lead is None and model is not None and model not in set(listed["model"]):
        refused, model = [*refused, f"model={model}"], None
    state["answer_model"] = models[lead] if lead else model or first["model"]
    if lead:
        state["answer_results"] = lead
    state["answer_point"] = links.text(params, "point")
    limit = links.text(params, "fits") or USUAL_LIMIT
    state["answer_fits"] = limit if _bytes(limit) else USUAL_LIMIT
    return refused if _bytes(limit) else [*refused, f"fits={limit}"]


def begin_again() -> None:
    """Forget what was chosen here, so that the next address is heard."""
    _forget(*(f"answer_{name}" for name in PARAMETERS))


def _forget(*keys: str) -> None:
    """Callback: another model has other experiments, another experiment other points."""
    for key in keys:
        st.session_state.pop(key, None)


def _bytes(text: str) -> float | None:
    try:
        return bytes_of(text) or None
    except ValueError:
        return None


def point(lead: Measured) -> str | None:
    """Draws the choice of a point where there are several."""
    labels, asked = list(lead.points()), st.session_state.get("answer_point")
    if asked is not None and asked not in labels:
        st.warning(words.escape(f"The link asked for what is not here: point={asked}"))
    if asked not in labels:
        st.session_state["answer_point"] = labels[0] if labels else None
    if len(labels) < 2:
        return labels[0] if labels else None
    return str(st.segmented_control("At", labels, key="answer_point", required=True))


def budget() -> float:
    """Bytes of the memory limit; the usual one where what was written is no amount, which its tile says."""
    found = _bytes(str(st.session_state.get("answer_fits") or ""))
    return found if found is not None else bytes_of(USUAL_LIMIT)


def into_address(lead: Measured, first_id: str) -> None:
    """The address says what is looked at; what is usual is left out."""
    state, labels = st.session_state, list(lead.points())
    said = {"results": lead.id} if lead.id != first_id else {}
    if labels and state.get("answer_point") not in (None, labels[0]):
        said["point"] = state["answer_point"]
    if state.get("answer_fits") not in (None, USUAL_LIMIT):
        said["fits"] = str(state["answer_fits"])
    pages.into_address(PARAMETERS, said)


def tiles(found: Sequence[Headline], *, going_on: bool) -> None:
    """going_on: runs are still to come, so that nothing more need be queued."""
    for column, headline in zip(st.columns(len(found), border=True), found, strict=True):
        with column:
            st.caption(words.escape(headline.label))
            if headline.place is not None and headline.group is not None:
                _named(headline, headline.place, headline.group)
            if headline.missing:
                st.caption(words.escape(f"{headline.missing}." + " Runs are still to come." * (headline.again and going_on)))
                if headline.again and not going_on:
                    pages.link("new_experiment", "Queue what is missing", {"from": headline.from_experiment, "change": "verdict"})


def side_by_side(lead: Measured) -> None:
    """Any variants of the experiment, to be put side by side: the first chosen is what the others are compared with."""
    names = {i: name for i, (name, _) in enumerate(lead.variants) if i != lead.control}
    if len(names) < 2:
        return
    chosen = st.pills("Or two of your choice, side by side", list(names), selection_mode="multi", format_func=lambda i: words.escape(names[i]),
                      key=f"answer_pair_{lead.id}")  # fmt: skip
    if len(chosen) < 2:
        st.caption("Choose two variants or more.")
        return
    refs = tuple(VariantRef(lead.id, i) for i in chosen)
    pages.link("compare", f"Compare {' with '.join(names[i] for i in chosen)}", Tray(refs, refs[0]).params())


def _limit() -> None:
    options = list(dict.fromkeys([*LIMITS, str(st.session_state.get("answer_fits") or USUAL_LIMIT)]))
    st.selectbox("Memory limit", options, key="answer_fits", accept_new_options=True, help="Or write an amount: 6 GB is 6 x 10^9 bytes, 6 GiB 6 x 2^30.")
    written = str(st.session_state.get("answer_fits") or "")
    if _bytes(written) is None:
        st.caption(words.escape(f"{written or 'Nothing'} is not an amount; write 24 GB. Shown is {USUAL_LIMIT}."))


def _named(headline: Headline, place: Place, group: Group) -> None:
    candidate = place.candidate
    st.markdown(f"#### {words.escape(candidate.variant)}" + (" (the baseline)" if candidate.baseline else ""))
    quality = [name for name in candidate.shown if METRICS[name].kind in ("quality", "fidelity")]
    st.markdown("  \n".join(words.escape(_measured(candidate, name)) for name in dict.fromkeys([*headline.metrics, *quality])))
    against = [] if candidate.baseline else [f"against {group.baseline}"]
    rows = [row for name in headline.metrics if (row := candidate.shown.get(name)) is not None]
    st.caption(words.escape(", ".join([*against, f"n = {max((r.n_rounds for r in rows), default=0)} rounds"])))
    alike = [p.candidate.variant for p in group.ranked if p.relation == "not distinguishable" and p is not place]
    if alike and headline.name != "both":  # the ranking is by the first metric alone
        st.caption(words.escape(f"Not distinguishable from it: {', '.join(alike)}."))
    refs = dict.fromkeys((VariantRef(candidate.experiment, candidate.position), *_baseline(group)))
    pages.link("compare", f"Compare with {group.baseline}" if len(refs) > 1 else "See how it was measured", Tray(tuple(refs)).params())


def _baseline(group: Group) -> list[VariantRef]:
    everyone = [*(p.candidate for p in group.ranked), *group.failed, *group.not_measured]
    return [VariantRef(c.experiment, c.position) for c in everyone if c.baseline][:1]


def _measured(candidate: Candidate, name: str) -> str:
    """'Decode throughput 60 tok/s · +100 % · ▲ better'."""
    row, label = candidate.shown.get(name), METRICS[name].label
    verdict = words.VERDICT.get(row.verdict, row.verdict) if row else words.STATUS[words.NOT_MEASURED]
    if row is None or row.value is None:
        return f"{label}: {verdict}"
    return " · ".join(filter(None, (f"{label} {words.value_text(name, row.value)}", words.change_text(row.ratio), verdict)))
