"""What the chapter claims, what others published, what was measured, and the experiment that would settle each claim."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import streamlit as st

from dashboard import claims, identity, links, live, pages, permissions, show, store, words
from engine import api
from engine.answers.claim_verdicts import Assessment
from engine.answers.claim_words import claimed_text
from engine.answers.claims import Topic, experiment, obstacle
from engine.devices import local_devices, offered
from engine.presets import to_yaml
from engine.specs import new_id

_TAGS = "[R] read in the source, [R2] in a transcription, [E] in an excerpt, [D] derived by arithmetic."

_THREE_LINES = 68  # pixels of a row: text wraps in it, so that claims that begin alike can be told apart


def main() -> None:
    st.title("Claims")
    st.markdown("Every gain that the chapter claims, held against measurements: the project's own, and those of this installation.")
    with show.loading():
        everything = claims.assessed()
    counts = Counter(a.verdict for a in everything)
    st.markdown(" · ".join(f"{words.CLAIM_VERDICT[v]}: **{counts[v]}**" for v in words.CLAIM_VERDICT if counts[v]))
    shown = _filtered(everything)
    if not shown:
        st.info("No claim is like that.")
        return
    show.table(
        claims.overview(shown), "Every claim with its verdict, the claimed range and what was measured on each hardware.", "claims_table",
        column_config={"Claim": st.column_config.TextColumn(pinned=True, width="medium")}, row_height=_THREE_LINES,
    )  # fmt: skip
    st.caption(words.CLAIM_HELP)
    _one(_chosen(shown))


def _filtered(everything: list[Assessment]) -> list[Assessment]:
    verdicts = st.pills("Verdict", list(words.CLAIM_VERDICT), selection_mode="multi", key="claim_verdicts", format_func=words.CLAIM_VERDICT.__getitem__)
    topic = st.selectbox("Technique", get_args(Topic), index=None, placeholder="All techniques", key="claim_topic")
    return [a for a in everything if (not verdicts or a.verdict in verdicts) and topic in (None, a.claim.technique)]


def _chosen(shown: list[Assessment]) -> Assessment:
    """The claim that the address names, where it is among those that are shown; the choice goes into the address."""
    by_id = {a.claim.id: a for a in shown}
    asked = links.text(st.query_params, "claim")
    if "claim_id" not in st.session_state and asked in by_id:
        st.session_state["claim_id"] = asked
    if st.session_state.get("claim_id") not in by_id:
        st.session_state["claim_id"] = next(iter(by_id))
    name = st.selectbox("Look at", list(by_id), key="claim_id", format_func=lambda i: by_id[i].claim.statement)
    pages.into_address(["claim"], {"claim": name})
    return by_id[name]


def _one(a: Assessment) -> None:
    claim = a.claim
    st.header(words.escape(claim.statement), divider="gray")
    st.markdown(f"**{words.CLAIM_VERDICT[a.verdict]}**" + (f": {words.escape(a.reason)}" if a.reason else ""))
    st.markdown(words.escape(f"Claimed: {claimed_text(claim)}. In the chapter: {claim.where}."))
    st.markdown(words.escape(f"Conditions: {claim.conditions}."))
    if a.measurements:
        show.table(claims.measurements(a), "Every measurement that tests this claim.", "claim_measurements")
        for experiment_id, title in {m.experiment: m.title for m in a.measurements}.items():
            pages.link("experiment", title, {"id": experiment_id})
    if claim.published:
        st.markdown("Published:\n" + "\n".join(f"- {words.escape(text)}" for text in claims.published_texts(claim)))
        st.caption(_TAGS)
    _settle(a)


def _settle(a: Assessment) -> None:
    """The button that queues exactly the experiment that settles the claim; where it cannot run here, why."""
    spec = experiment(a.claim)
    if spec is None:
        st.caption(words.escape(f"No experiment settles it: {a.reason}."))
        return
    live.scheduler_state()
    devices = offered(store.schedulers(), local_devices())
    problem = obstacle(spec, devices)
    arrived = st.session_state.get("page_before") != "claims"
    key = f"claim_request_{a.claim.id}"
    if arrived or key not in st.session_state:  # the second click of a double click is the same request
        st.session_state[key] = new_id()
    if problem:
        st.warning(words.escape(f"Its experiment cannot run here: {problem}"))
    allowed = permissions.control(disabled=bool(problem))
    if st.button("Queue the experiment that settles it", icon=":material/play_arrow:", key="claim_queue", **allowed):
        try:
            experiment_id = api.submit(permissions.database(), spec, request_key=st.session_state[key], devices=devices, owner=identity.current().name)
        except ValueError as error:
            st.error(words.escape(str(error)))
            return
        pages.go("experiment", {"id": experiment_id})
    with st.expander("The experiment as a file"):
        st.code(to_yaml(spec), language="yaml")


if __name__ == "__main__":
    main()
