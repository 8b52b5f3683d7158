"""Results of other tools on the pages: the drawer that takes a file, and what is shown of an experiment that came from one.

What can be read, and what of it is taken over, is engine/imports/. Nothing here draws a verdict.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import pages, permissions, show, words
from engine.cells import point_label
from engine.imports import tools
from engine.imports.reading import MAX_BYTES
from engine.metrics import METRICS
from engine.record import Record, imported_from

_FILE, _DONE = "import_file", "imported"
_WRAPPED = 52  # pixels of a row in which text wraps


def drawer(key: str) -> None:
    """Takes one file; closed until somebody asks for it."""
    opened = st.expander("Import results of another tool", icon=":material/upload_file:", key=f"import_{key}", on_change="rerun")
    if opened.open:
        with opened:
            _upload()


def _upload() -> None:
    st.markdown("Files of " + "; ".join(f"{r.name} ({words.escape(r.files)})" for r in tools.READERS) + ". Imported results stand beside measured ones, "
                "marked as imported, and get no verdict.")  # fmt: skip
    file = st.file_uploader("Result file", type=["json"], key=_FILE, max_upload_size=MAX_BYTES // 2**20, **permissions.control())
    st.button("Import", icon=":material/upload:", key="import_button", on_click=_import, **permissions.control(disabled=file is None))
    if (done := st.session_state.get(_DONE)) is not None:
        pages.link("experiment", done[1], {"id": done[0]})
        pages.link("compare", f"Compare {done[1]}", {"variants": f"{done[0]}.0"})


@permissions.action
def _import() -> str:
    file = st.session_state.get(_FILE)
    if file is None:
        raise ValueError("choose a file first")
    return take(file.name, file.getvalue())


def take(name: str, content: bytes) -> str:
    """Store what a file says; what became of it in words. Raises ValueError."""
    experiment_id, new = tools.store(permissions.database(), name, content)
    title = tools.read_file(name, content)["experiment"]["title"]
    st.session_state[_DONE] = (experiment_id, title)
    return f"{title}: imported" if new else f"{title}: this file was imported before; nothing was added"


def page(record: Record) -> None:
    """Everything that is known of an experiment which another tool measured."""
    said = _said(record)
    spec, tool = record["experiment"]["spec"], imported_from(record)
    st.info(words.escape(f"Measured by {tool} and imported from {spec['imported']['file']}. It is shown beside measured results without a verdict: "
                         "nothing shows how it was measured, and beside what."), icon=":material/upload_file:")  # fmt: skip
    if said.get("remark"):
        st.warning(words.escape(f"The tool says: {said['remark']}."))
    st.header("Measured", divider="gray")
    taken = measured(record)
    if len(taken):
        show.table(taken, "The numbers whose definition is the same as here.", "imported_measured", row_height=_WRAPPED)
    else:
        st.markdown("No number of it is defined as one of the metrics here.")
    others = extras(said)
    if len(others):
        st.header("Under the tool's own names", divider="gray")
        show.table(others, "Numbers of the tool that no metric here is defined as, in its own units.", "imported_extras")
    for text in said.get("left_out", ()):
        st.caption(words.escape(f"Left out: {text}."))
    if said.get("configuration"):
        with st.expander("Configuration, as the tool wrote it"):
            st.json(said["configuration"])


def measured(record: Record) -> pd.DataFrame:
    """One row per metric and point, with where in the file it comes from."""
    origins = _said(record).get("origins", {})
    rows = [
        (METRICS[m["metric"]].label, point_label(m["point"]), words.value_text(m["metric"], m["value"]), m["n_samples"], origins.get(m["metric"], ""))
        for run in record["runs"] for m in run["measurements"] if m["metric"] in METRICS
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["Metric", "Point", "Value", "Samples", "From"])


def extras(said: dict[str, Any]) -> pd.DataFrame:
    rows = [(e["name"], point_label(e["point"]), f"{e['value']:,.6g}", e["unit"]) for e in said.get("extras", ())]
    return pd.DataFrame(rows, columns=["Name", "Point", "Value", "Unit"])


def _said(record: Record) -> dict[str, Any]:
    return next((found for run in record["runs"] if (found := (run["details"] or {}).get("imported"))), {})
