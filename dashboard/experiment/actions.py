"""What one can do with an experiment on its page: rename, tag, note, clone, retry, measure again elsewhere, archive, delete.

Each write is one function of engine/edits.py, engine/api.py or db/queue.py; dashboard/permissions.py decides whether it may be.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import attention, identity, pages, permissions, store, words
from dashboard.new import start_from
from db import queue
from engine import edits, host
from engine.comparability import in_words
from engine.devices import local_devices, offered
from engine.planning.changes import retried
from engine.presets import parse_spec, to_yaml
from engine.record import Record, imported_from

Said = dict[str, Any]
"""What db.edits.current gives."""


def buttons(record: Record, said: Said) -> None:
    """In a horizontal container."""
    experiment = record["experiment"]
    _edit(experiment["id"], said)
    if imported_from(record) is None:
        pages.link("new_experiment", "Clone", start_from.link_params(experiment["id"]), icon=":material/content_copy:")
        if retried(record) and not any(run["status"] in ("queued", "running") for run in record["runs"]):
            allowed = permissions.control("A new experiment of the baseline and what failed: so all is compared within its own rounds.")
            st.button("Retry what failed", icon=":material/replay:", key="retry", on_click=attention.retry, args=(experiment["id"],), **allowed)
    _reproduce(record)
    archived = bool(said["archived"])
    st.button("Take out of the archive" if archived else "Archive", icon=":material/unarchive:" if archived else ":material/archive:", key="archive",
              on_click=_archive, args=(experiment["id"], said["title"], not archived),
              **permissions.control("An archived experiment keeps its link and its results; lists leave it out.", of=[said["owner"]]))  # fmt: skip
    if experiment["source"] != "reference":  # those come back at the next start
        _delete_button(experiment["id"], said)


def _edit(experiment_id: str, said: Said) -> None:
    popover = st.popover("Rename, tag, note", icon=":material/edit:", key="edit", on_change="rerun")
    if not popover.open:
        return
    with popover:
        allowed = permissions.control(of=[said["owner"]])
        for name, value in (("edit_title", said["title"]), ("edit_tags", said["tags"]), ("edit_note", said["note"])):
            st.session_state.setdefault(f"{name}_{experiment_id}", value)
        st.text_input("Title", max_chars=edits.TITLE_CHARACTERS, key=f"edit_title_{experiment_id}", on_change=_rename, args=(experiment_id,), **allowed)
        st.multiselect("Tags", said["tags"], accept_new_options=True, key=f"edit_tags_{experiment_id}", on_change=_tag,
                       args=(experiment_id, tuple(said["tags"])), placeholder="Write a tag and press Enter", **allowed)  # fmt: skip
        st.text_area("Note", max_chars=edits.NOTE_CHARACTERS, key=f"edit_note_{experiment_id}", on_change=_note, args=(experiment_id,),
                     placeholder="Markdown; saved when you leave the field", **allowed)  # fmt: skip
        if identity.required():
            st.session_state.setdefault(f"edit_private_{experiment_id}", bool(said["private"]))
            st.toggle("Private", key=f"edit_private_{experiment_id}", on_change=_hide, args=(experiment_id,), **permissions.control(
                "Only you and admins see it: to all others it looks as if it did not exist.", of=[said["owner"]]))  # fmt: skip


@permissions.action
def _rename(experiment_id: str) -> str:
    title = str(st.session_state[f"edit_title_{experiment_id}"])
    edits.rename(permissions.database([experiment_id]), experiment_id, title)
    return f"Renamed to {' '.join(title.split())}. Its links stay as they are."


@permissions.action
def _tag(experiment_id: str, before: tuple[str, ...]) -> str:
    key = f"edit_tags_{experiment_id}"
    wanted = edits.tidy_tags(st.session_state[key]) if st.session_state[key] else []
    st.session_state[key] = wanted
    if added := [tag for tag in wanted if tag not in before]:
        edits.add_tags(permissions.database([experiment_id]), [experiment_id], added)
    if gone := [tag for tag in before if tag not in wanted]:
        edits.remove_tags(permissions.database([experiment_id]), [experiment_id], gone)
    return f"Tags: {', '.join(wanted) or 'none'}."


@permissions.action
def _note(experiment_id: str) -> str:
    edits.set_note(permissions.database([experiment_id]), experiment_id, str(st.session_state[f"edit_note_{experiment_id}"]))
    return "The note is saved."


@permissions.action
def _hide(experiment_id: str) -> str:
    private = bool(st.session_state[f"edit_private_{experiment_id}"])
    edits.set_private(permissions.database([experiment_id]), experiment_id, private)
    return "It is private: only its owner and admins see it. What was shared of it before stays shared." if private else "Everybody here sees it now."


@permissions.action
def _archive(experiment_id: str, title: str, archived: bool) -> str:
    edits.set_archived(permissions.database([experiment_id]), [experiment_id], archived)
    return f"{title} is in the archive: lists leave it out, its link works." if archived else f"{title} is back in the lists."


def _delete_button(experiment_id: str, said: Said) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown("This deletes the experiment with all its measurements. Its link will no longer work.")
        st.button("Delete for good", type="primary", on_click=_delete, args=(experiment_id, said["title"]), key="delete",
                  **permissions.control(of=[said["owner"]]))  # fmt: skip


@permissions.action
def _delete(experiment_id: str, title: str) -> str:
    queue.delete_experiment(permissions.database([experiment_id]), experiment_id)
    return f"{title} is deleted."


def _reproduce(record: Record) -> None:
    popover = st.popover("Reproduce", icon=":material/terminal:", key="reproduce", on_change="rerun")
    if popover.open:
        with popover:
            reproduction(record)


def reproduction(record: Record) -> None:
    """The file and the commands that measure it again, at the revision that it was measured at, and what is different here."""
    if (tool := imported_from(record)) is not None:
        st.markdown(words.escape(f"It was measured by {tool}; only that can run it again."))
        return
    spec = parse_spec(record["experiment"]["spec"])
    pinned = f"at commit {spec.model.revision}" if spec.model.revision else "as this version of the lab has it"
    st.markdown(f"Save this as `experiment.yaml`. The model is **{words.escape(spec.model.name)}**, {words.escape(pinned)}.")
    st.code(to_yaml(spec), language="yaml", height=240)
    st.code(".venv/bin/python -m engine run experiment.yaml\n.venv/bin/python -m engine submit experiment.yaml", language="bash")
    devices = offered(store.schedulers(), local_devices())
    for facts in list(record["environments"].values())[:1]:
        if found := host.unlike(facts, devices):
            st.warning(words.escape(f"Here it would not be measured as it was: {in_words(found)}."), icon=":material/difference:")
        else:
            st.caption("Device and packages here are those of the record.")
