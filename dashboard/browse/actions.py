"""What can be done with the ticked experiments: tag, archive, compare, run again, download. And the download of all that match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from dashboard import identity, pages, permissions, store, tray, words
from dashboard.browse import address, data, state
from dashboard.browse.address import MOST_CHOSEN, View
from db.filter import Filter
from engine import api, edits, settings
from engine.devices import local_devices, offered
from engine.export import experiments as exported
from engine.planning import changes
from engine.specs import new_id
from engine.variant_ref import VariantRef

EXPERIMENTS_FILE = "experiments.csv"
_REQUEST = "browse_request"
"""Of the ticked ones: a second click of a double click asks for the same experiments, not for others."""
_REASONS = 3  # so many of those that were refused are named


def bar(view: View) -> None:
    """The ticked experiments and what can be done with them; nothing where none is ticked."""
    if not view.chosen:
        st.session_state.pop(_REQUEST, None)
        return
    there = store.experiments(Filter(id=view.chosen, archived="all", size=MOST_CHOSEN))
    if gone := [i for i in view.chosen if i not in set(there["id"])]:
        st.warning(words.escape(f"{counted(len(gone))} of those chosen no longer exist: {', '.join(gone[:5])}{', …' * (len(gone) > 5)}"))
    if there.empty:
        st.button("Untick", key="browse_none", icon=":material/deselect:", on_click=_untick)
        return
    ids = list(there["id"])
    with st.bottom, st.container(horizontal=True, vertical_alignment="center", key="browse_bar"):  # there it moves no row that is to be ticked next
        st.markdown(f"**{len(ids)} chosen**", width="content")
        st.button("Untick", key="browse_none", icon=":material/deselect:", type="tertiary", on_click=_untick)
        if len(ids) == 1:
            pages.link("experiment", "Open", {"id": ids[0]} | tray.chosen().params())
        refs = [VariantRef(row.id, position) for row in there.itertuples() for position in range(row.variants)]
        st.button(f"Add to compare · {words.count(len(refs), 'variant')}", key="browse_compare", icon=":material/compare_arrows:",
                  on_click=tray.add, args=refs)  # fmt: skip
        _organize(there)


def download(wanted: Filter, number: int, key: str) -> None:
    """A button with the number of rows that its file has."""
    st.download_button(f"CSV · {counted(number)}", data=csv_of(wanted), file_name=EXPERIMENTS_FILE, mime="text/csv", key=key,
                       icon=":material/download:", on_click="ignore", disabled=not number)  # fmt: skip


def more_files(wanted: Filter) -> None:
    """All variants of all that match: too much to be made for a button, so they are sent in pieces."""
    popover = st.popover("More files", icon=":material/download:", key="browse_files", on_change="rerun")
    if popover.open:
        with popover:
            until = {"until": f"{wanted.known_until.isoformat()}Z"} if wanted.known_until else {}
            link = f"{settings.public_base_url()}/api/v1/variants.csv?{urlencode(address.write(replace(wanted, page=1)) | until)}"
            number = data.count_variants(wanted)
            st.link_button(f"Variants (CSV) · {words.count(number, 'variant')}", link, icon=":material/download:", disabled=not number)
            st.caption("One row per variant with the values of the metrics that decide. Verdicts are in each experiment's own files.")


def csv_of(wanted: Filter) -> Callable[[], bytes]:
    """Made when the button is pressed, by the thread that serves the download."""
    database = store.database()
    return lambda: "".join(exported.csv_of(data.all_experiments(database, wanted), settings.experiment_link)).encode()


def counted(number: int) -> str:
    return words.count(number, "experiment")


def _organize(there: pd.DataFrame) -> None:
    ids, owners = list(there["id"]), list(there["owner"])
    popover = st.popover("Tag, run again, archive, CSV", icon=":material/sell:", key="browse_organize", on_change="rerun")
    if not popover.open:
        return
    with popover:
        download(Filter(id=tuple(ids), archived="all"), len(ids), "browse_csv_chosen")
        st.divider()
        st.multiselect("Tags", data.tags(), key="browse_tags", accept_new_options=True, placeholder="Choose, or write a new one")
        with st.container(horizontal=True):
            for word, edit in (("Add", edits.add_tags), ("Remove", edits.remove_tags)):
                st.button(f"{word} these tags", key=f"browse_tags_{word.lower()}", on_click=_tag, args=(ids, word, edit),
                          **permissions.control(of=owners))  # fmt: skip
        st.divider()
        request = st.session_state.setdefault(_REQUEST, new_id())
        st.button(f"Run {counted(len(ids))} again", key="browse_again", icon=":material/replay:", on_click=_run_again, args=(ids, request),
                  **permissions.control("Each becomes a new experiment of the same spec"))  # fmt: skip
        st.divider()
        st.caption("What is archived keeps its link and its results, and is in no list unless one asks for the archive.")
        with st.container(horizontal=True):
            for archived, label, icon in ((True, "Archive", ":material/archive:"), (False, "Unarchive", ":material/unarchive:")):
                nothing = bool((there["archived"] == archived).all())
                st.button(label, key=f"browse_{label.lower()}", icon=icon, on_click=_archive, args=(ids, archived),
                          **permissions.control(disabled=nothing, of=owners))  # fmt: skip


@permissions.action
def _tag(ids: list[str], word: str, edit: Callable[..., int]) -> str:
    tags = edits.tidy_tags(st.session_state["browse_tags"])
    number = edit(permissions.database(ids), ids, tags)
    st.session_state["browse_tags"] = []
    return f"{'Added' if word == 'Add' else 'Removed'} {', '.join(tags)}: {counted(number)}"


@permissions.action
def _archive(ids: list[str], archived: bool) -> str:
    number = edits.set_archived(permissions.database(ids), ids, archived)
    return f"{counted(number)} {'archived; links to them go on working' if archived else 'taken out of the archive'}"


@permissions.action
def _run_again(ids: list[str], request: str) -> str:
    devices, queued, refused = offered(store.schedulers(), local_devices()), 0, []
    for experiment_id in ids:
        record = store.record(experiment_id)
        if record is None:  # deleted meanwhile; the list says so
            continue
        try:
            spec = changes.changed(record, "again")
            api.submit(permissions.database(), spec, request_key=f"{request}{experiment_id}", devices=devices, owner=identity.current().name,
                       private=store.private([experiment_id]))  # fmt: skip
            queued += 1
        except ValueError as error:
            refused.append(f"{record['experiment']['title']}: {error}")
    _untick()
    if refused:
        raise ValueError("; ".join([f"{counted(queued)} queued again, {len(refused)} not", *refused[:_REASONS]]))
    return f"{counted(queued)} queued again"


def _untick() -> None:
    state.show(replace(state.view(), chosen=()))
