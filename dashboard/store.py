"""The pages' way to the database: one engine per process, records and frames cached by change token.

Nothing else in the dashboard opens the database. Writes are engine.api and db.queue, called with `permissions.database()`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dashboard import frozen
from db import edits, listing, open_runs, queries, saved
from db.filter import Filter
from db.session import connect, migrate
from db.state import ALIVE_SECONDS as ALIVE_SECONDS
from engine import analysis, api, doctor, redaction, settings
from engine.answers import advisor
from engine.answers.explain import Why, explain
from engine.answers.interactions import Interaction, interactions
from engine.export.samples import samples as sample_table
from engine.record import WORKLOAD_OF_IMPORTED, Record
from engine.snapshot import Snapshot, thaw
from engine.variant_ref import VariantRef

ADVISED_BY = 200
"""The newest so many experiments are what the advisor answers from."""

RANKED_WITH = 8
"""So many other experiments at most are read for the answers of one on the first page."""


@st.cache_resource(show_spinner=False)
def open_database(url: str) -> Engine:
    """Connect and bring the schema up to date, once per process. Raises ValueError with the fix; a failure is not remembered.

    Where the pages are read-only the database itself refuses what a page should not have tried to write.
    """
    db = connect(url)
    migrate(db)
    return connect(url, read_only=True) if settings.read_only() else db


def database() -> Engine:
    """The engine, inside a page: where it cannot be opened the page says why and ends."""
    try:
        return open_database(settings.database_url())
    except (ValueError, SQLAlchemyError) as error:
        st.error(reason(error), title="The database cannot be used", icon=":material/database_off:")
        st.caption("Put it right and reload this page. `LAB_DATA` moves the data directory, `DATABASE_URL` names another database.")
        st.stop()


def reason(error: Exception) -> str:
    """A database's complaint in one line, without the statement and without secrets."""
    original = getattr(error, "orig", None) or error
    return redaction.masked(" ".join(str(original).split()))


def token(experiment_id: str | None = None) -> str:
    """Cheap; see db.queries.change_token. A snapshot never changes."""
    if experiment_id is not None and (held := frozen.snapshot()) is not None:
        return f"frozen {held.id}"
    return queries.change_token(database(), experiment_id)


def tokens(experiment_ids: Iterable[str]) -> dict[str, str]:
    """The same of several experiments, for the price of one."""
    return queries.change_tokens(database(), list(dict.fromkeys(experiment_ids)))


def record(experiment_id: str, samples: str = "none") -> Record | None:
    """One experiment; None if there is none. Cached until one of its runs begins or ends."""
    return _record(settings.database_url(), experiment_id, samples, token(experiment_id))


@st.cache_data(max_entries=24, show_spinner=False)
def _record(url: str, experiment_id: str, samples: Any, token: str) -> Record | None:
    return _load(url, experiment_id, samples)


def _load(url: str, experiment_id: str, samples: Any) -> Record | None:
    """From the snapshot that is shown, with all its samples, or from the database."""
    if (held := frozen.snapshot()) is not None:
        return held.records.get(experiment_id)
    return queries.record(open_database(url), experiment_id, samples=samples)


def rows(found: Record) -> Sequence[analysis.Row]:
    """As they were computed when the snapshot was made that is shown; else computed now."""
    held = frozen.snapshot()
    return analysis.rows(found) if held is None else held.rows[found["experiment"]["id"]]


def said(experiment_id: str) -> dict[str, Any] | None:
    """What people say of an experiment: title, owner, note, archived, tags; see db.edits.current."""
    return edits.current(database(), experiment_id)


def summary(experiment_id: str) -> pd.DataFrame:
    """engine.analysis.summary of an experiment that exists. Raises ValueError where this version cannot read it."""
    return _summary(settings.database_url(), experiment_id, token(experiment_id))


@st.cache_data(max_entries=24, show_spinner=False)
def _summary(url: str, experiment_id: str, token: str) -> pd.DataFrame:
    found = _load(url, experiment_id, "quality")  # perplexity's intervals pair samples
    assert found is not None, "asked for only after `record` was not None"
    return analysis.frame(rows(found))


def experiments(wanted: Filter) -> pd.DataFrame:
    """One page of the list; see db.listing.experiments. Archived ones are not in it unless asked for."""
    return listing.experiments(database(), wanted)


def measured() -> tuple[list[advisor.Measured], list[str]]:
    """What the advisor needs of the newest experiments that have a result, and why it is not there of those that cannot be read."""
    listed = experiments(Filter(size=ADVISED_BY))
    ids = listed[listed["succeeded"] > 0]["id"]
    found = [_measured(settings.database_url(), i, token(i)) for i in ids]
    return [m for m in found if isinstance(m, advisor.Measured)], [m for m in found if isinstance(m, str)]


def with_results() -> pd.DataFrame:
    """The newest experiments that have a result, and the project's own: rows of db.listing.experiments, newest first. Not what other tools
    measured, from which nothing is concluded."""
    db = database()
    found = pd.concat([listing.experiments(db, Filter(size=ADVISED_BY)), listing.experiments(db, Filter(size=ADVISED_BY, source=("reference",)))])
    here = (found["succeeded"] > 0) & (found["workload"] != WORKLOAD_OF_IMPORTED)
    return found[here].drop_duplicates("id").reset_index(drop=True)


def comparable(lead_id: str) -> list[advisor.Measured]:
    """An experiment, and the newest others that may be ranked with it. Raises ValueError where this version cannot read it."""
    url, listed = settings.database_url(), with_results()
    lead = _measured(url, lead_id, token(lead_id))
    if not isinstance(lead, advisor.Measured):
        raise ValueError(lead or "there is no such experiment; it may have been deleted")
    alike = listed[(listed["model"] == lead.model) & (listed["workload"] == lead.workload) & (listed["id"] != lead_id)]
    others = [_measured(url, i, token(i)) for i in alike["id"].head(RANKED_WITH)]
    return [lead, *(m for m in others if isinstance(m, advisor.Measured) and m.conditions == lead.conditions)]


@st.cache_resource(max_entries=ADVISED_BY, show_spinner=False)  # not cache_data: nothing changes it, and copies would take their time
def _measured(url: str, experiment_id: str, token: str) -> advisor.Measured | str | None:
    found = queries.record(open_database(url), experiment_id, samples="quality")
    try:
        return advisor.read(found) if found is not None else None
    except ValueError as error:  # of another version
        return f"{found['experiment']['title'] if found else experiment_id}: {error}"


def explained(experiment_id: str) -> tuple[list[Why], list[Interaction]]:
    """Why each variant of an experiment that exists is as it is, and how its changes go together."""
    return _explained(settings.database_url(), experiment_id, token(experiment_id))


@st.cache_data(max_entries=24, show_spinner=False)
def _explained(url: str, experiment_id: str, token: str) -> tuple[list[Why], list[Interaction]]:
    found = _load(url, experiment_id, "quality")
    assert found is not None, "asked for only after `record` was not None"
    return explain(found, rows(found)), interactions(found)


def sample_rows(experiment_id: str) -> int:
    """How many rows the table of its raw samples has."""
    return _sample_rows(settings.database_url(), experiment_id, token(experiment_id))


@st.cache_data(max_entries=24, show_spinner=False)
def _sample_rows(url: str, experiment_id: str, token: str) -> int:
    if (held := frozen.snapshot()) is not None:
        return sum(1 for _ in sample_table(held.records[experiment_id]).rows)
    return queries.count_samples(open_database(url), experiment_id)


def log_tail(record: Record, run_id: int) -> str:
    """The last lines that a run of this record printed. A snapshot has those of runs that went wrong."""
    if frozen.snapshot() is None:
        return queries.log_tail(database(), run_id)
    return next((run["log_tail"] or "" for run in record["runs"] if run["id"] == run_id), "")


def saved_view(view_id: str) -> dict[str, Any] | None:
    return saved.view(database(), view_id)


def snapshot(snapshot_id: str) -> Snapshot | None:
    """One that is checked each time it is shown; None if there is none. Raises engine.snapshot.TamperedError."""
    row = saved.snapshot(database(), snapshot_id)
    return None if row is None else _thawed(row)


@st.cache_resource(max_entries=8, show_spinner=False)  # by all that is in the row: what was changed since is another row, and checked
def _thawed(row: dict[str, Any]) -> Snapshot:
    return thaw(row)


def variant_names(refs: Iterable[VariantRef]) -> dict[VariantRef, dict[str, Any]]:
    """{reference: title, name, baseline} of those that exist, in one small query; the others are missing."""
    wanted = set(refs)
    if (held := frozen.snapshot()) is not None:
        there = {VariantRef(key, i): {"title": r["experiment"]["title"], **v} for key, r in held.records.items() for i, v in enumerate(r["variants"])}
        return {ref: v for ref, v in there.items() if ref in wanted}
    found = {VariantRef(v["experiment"], v["position"]): v for v in queries.variants(database(), {ref.experiment for ref in wanted})}
    return {ref: v for ref, v in found.items() if ref in wanted}


def open_experiments() -> list[open_runs.OpenExperiment]:
    """What runs and waits, by experiment. A poll asks what the runs do; the rest is cached until a run begins or ends."""
    db = database()
    return open_runs.with_running(db, _open_experiments(settings.database_url(), open_runs.token(db)))


@st.cache_data(max_entries=4, show_spinner=False)
def _open_experiments(url: str, token: str) -> list[open_runs.OpenExperiment]:
    return open_runs.open_experiments(open_database(url))


def queue() -> pd.DataFrame:
    """What runs and waits; cached until something about it changes, so that polling costs one small query."""
    return _queue(settings.database_url(), token())


@st.cache_data(max_entries=4, show_spinner=False)
def _queue(url: str, token: str) -> pd.DataFrame:
    return queries.queue(open_database(url))


def schedulers() -> list[dict[str, Any]]:
    """Those that are alive."""
    return [s for s in queries.schedulers(database()) if s["age_seconds"] <= ALIVE_SECONDS]


@st.cache_data(ttl=60, max_entries=1, show_spinner="Looking at this machine")
def machine() -> dict[str, Any]:
    """What is here and what is missing; see engine.doctor."""
    return doctor.examine()


@st.cache_data(max_entries=1, show_spinner=False)
def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Techniques, workloads and presets as rows, availability of this machine; fixed while the process lives."""
    return {"techniques": api.techniques(), "workloads": api.workloads(), "presets": api.presets()}


@st.cache_data(max_entries=24, show_spinner=False)
def _past_seconds(url: str, experiment_id: str, token: str) -> dict[str, float]:
    found = queries.record(open_database(url), experiment_id, samples="none")
    seconds: dict[str, list[float]] = {}
    for run in found["runs"] if found else ():
        if run["status"] == "succeeded" and run["seconds"]:
            seconds.setdefault(run["kind"], []).append(run["seconds"])
    return {kind: statistics.median(values) for kind, values in seconds.items()}


def past_seconds(model: str, device: str) -> dict[str, float]:
    """{run kind: median seconds} of the newest experiment measured with this model on such a device; empty if there is none."""
    return _past_seconds_of(settings.database_url(), model, device)


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)  # the queue asks every two seconds
def _past_seconds_of(url: str, model: str, device: str) -> dict[str, float]:
    same = listing.experiments(open_database(url), Filter(model=(model,), size=100))
    for row in same[same["succeeded"] > 0].to_dict("records"):
        if device in (row["device"], row["device"].rpartition("/")[2], row["device"].rpartition("/")[2].partition(":")[0]):
            return _past_seconds(settings.database_url(), row["id"], token(row["id"]))
    return {}
