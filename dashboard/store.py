"""The pages' and routes' way to the database: one engine per process, bound to who asks; records and frames cached by change token.

Nothing else in the dashboard opens the database. Writes are engine.api and db.queue, called with `permissions.database()`. What is cached
by experiment is read for all: its token is queries.GONE where it is hidden from who asks, and then nothing is looked up. What is cached
of many experiments has the `scope` of who asks in its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dashboard import frozen, identity
from db import edits, listing, open_runs, queries, saved
from db.filter import Filter
from db.session import connect, migrate
from db.state import ALIVE_SECONDS as ALIVE_SECONDS
from db.visitor import Visitor, acting, any_private, hides_any
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


class Scope(NamedTuple):
    """visitor: None where nothing is hidden from who asks; all of these share what is cached."""

    url: str
    visitor: Visitor | None

    def engine(self) -> Engine:
        db = open_database(self.url)
        return db if self.visitor is None else acting(db, self.visitor)


def engine() -> Engine:
    """The database as it is for who asks, inside a route. Raises ValueError or SQLAlchemyError where it cannot be opened."""
    return acting(open_database(settings.database_url()), identity.current().visitor)


def scope() -> Scope:
    """Part of the key of what is cached of many experiments, and what reads it."""
    visitor = identity.current().visitor
    return Scope(settings.database_url(), visitor if hides_any(database()) else None)


def database() -> Engine:
    """The same inside a page: where it cannot be opened the page says why and ends."""
    try:
        return engine()
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
    return load(url, experiment_id, samples, token)


def load(url: str, experiment_id: str, samples: Any, token: str) -> Record | None:
    """From the snapshot that is shown, with all its samples, or from the database: for who asked for the token."""
    if (held := frozen.snapshot()) is not None:
        return held.records.get(experiment_id)
    return None if token == queries.GONE else queries.record(open_database(url), experiment_id, samples=samples)


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
    found = load(url, experiment_id, "quality", token)  # perplexity's intervals pair samples
    assert found is not None, "asked for only after `record` was not None"
    return analysis.frame(rows(found))


def private(experiment_ids: Iterable[str]) -> bool:
    """Whether one of these is private: what is made from it is not for all."""
    return any_private(database(), list(experiment_ids))


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
    found = load(url, experiment_id, "quality", token)
    try:
        return advisor.read(found) if found is not None else None
    except ValueError as error:  # of another version
        return f"{found['experiment']['title'] if found else experiment_id}: {error}"


def explained(experiment_id: str) -> tuple[list[Why], list[Interaction]]:
    """Why each variant of an experiment that exists is as it is, and how its changes go together."""
    return _explained(settings.database_url(), experiment_id, token(experiment_id))


@st.cache_data(max_entries=24, show_spinner=False)
def _explained(url: str, experiment_id: str, token: str) -> tuple[list[Why], list[Interaction]]:
    found = load(url, experiment_id, "quality", token)
    assert found is not None, "asked for only after `record` was not None"
    return explain(found, rows(found)), interactions(found)


def sample_rows(experiment_id: str) -> int:
    """How many rows the table of its raw samples has."""
    return _sample_rows(settings.database_url(), experiment_id, token(experiment_id))


@st.cache_data(max_entries=24, show_spinner=False)
def _sample_rows(url: str, experiment_id: str, token: str) -> int:
    if (held := frozen.snapshot()) is not None:
        return sum(1 for _ in sample_table(held.records[experiment_id]).rows)
    return 0 if token == queries.GONE else queries.count_samples(open_database(url), experiment_id)


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
    return open_runs.with_running(db, _open_experiments(scope(), open_runs.token(db)))


@st.cache_data(max_entries=32, show_spinner=False)
def _open_experiments(scope: Scope, token: str) -> list[open_runs.OpenExperiment]:
    return open_runs.open_experiments(scope.engine())


def queue() -> pd.DataFrame:
    """What runs and waits; cached until something about it changes, so that polling costs one small query."""
    return _queue(scope(), token())


@st.cache_data(max_entries=32, show_spinner=False)
def _queue(scope: Scope, token: str) -> pd.DataFrame:
    return queries.queue(scope.engine())


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
