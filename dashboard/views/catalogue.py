"""Everything that can be run and everything that is measured: a list to search, and a page for each technique and workload."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import catalogue, catalogue_cards, links, pages, show, words

_WRAPPED = 68  # pixels of a row in which text wraps


def main() -> None:
    for kind, known in (("technique", catalogue.techniques()), ("workload", catalogue.workloads())):
        asked = links.text(st.query_params, kind)
        row = next((r for r in known if r["name"] == asked), None)
        if row is not None:
            draw = catalogue_cards.technique if kind == "technique" else catalogue_cards.workload
            draw(row)
            return
        if asked is not None:
            st.warning(words.escape(f"The link asked for the {kind} {asked}, which is not here."))
            pages.into_address([kind], {})
    _list()


def _list() -> None:
    st.title("Catalogue")
    st.markdown("Everything that can be run and everything that is measured here, with what it does, what it costs and how it works.")
    kind, search, family = _asked()
    if kind == "techniques":
        found = catalogue.techniques(search, family)
        for name in dict.fromkeys(r["family"] for r in found):
            st.header(name.capitalize(), divider="gray")
            _cards([r for r in found if r["family"] == name], "technique")
    elif kind == "workloads":
        found = catalogue.workloads(search)
        _cards(found, "workload")
    else:
        frame = catalogue.metric_table(catalogue.metrics(search))
        found = frame.to_dict("records")
        if found:
            show.table(frame, "Every metric with its unit, direction, margin and definition.", "catalogue_metrics", row_height=_WRAPPED)
            st.caption("Margin: the smallest change that matters in a verdict. Files, links and the command line use the names under 'In files'.")
    if not found:
        st.info("Nothing is like that. Search for less, or look at all families.")


def _asked() -> tuple[str, str, str | None]:
    """(kind, search, family): drawn as the address says at first; the address then says what they are."""
    families = catalogue.families()
    state, given = st.session_state, {name: links.text(st.query_params, name) for name in ("show", "q", "family")}
    for name, allowed in (("show", catalogue.KINDS), ("family", families)):
        if given[name] is not None and given[name] not in allowed:
            st.warning(words.escape(f"The link asked for {name}={given[name]}, which is not here."))
            given[name] = None
    state.setdefault("catalogue_show", given["show"] or "techniques")
    state.setdefault("catalogue_q", given["q"] or "")
    state.setdefault("catalogue_family", given["family"])
    kind = str(st.segmented_control("Show", list(catalogue.KINDS), format_func=catalogue.KINDS.__getitem__, key="catalogue_show", required=True,
                                    persist_state="session"))  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = str(st.text_input("Search", key="catalogue_q", type="search", placeholder="memory", persist_state="session", max_chars=100) or "").strip()
        family = st.selectbox("Family", families, format_func=str.capitalize, key="catalogue_family", index=None, placeholder="All families",
                              disabled=kind != "techniques", persist_state="session")  # fmt: skip
    said = {"show": kind if kind != "techniques" else "", "q": search, "family": family if kind == "techniques" else None}
    pages.into_address(tuple(said), {name: value for name, value in said.items() if value})
    return kind, search, family


def _cards(rows: list[dict[str, Any]], kind: str) -> None:
    with st.grid("auto", min_column_width=300):
        for row in rows:
            with st.container(border=True, key=f"card_{row['name']}"):
                pages.link("catalogue", row["label"], {kind: row["name"]})
                st.markdown(words.escape(row["summary"]))
                if not row["available"]:
                    st.caption(f"⊘ Not here: {words.escape(row['reason'])}")


if __name__ == "__main__":
    main()
