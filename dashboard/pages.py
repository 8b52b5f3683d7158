"""The pages with their addresses, and links between them. Addresses are public: links that people sent must go on working."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from dashboard import identity
from dashboard.words import escape
from engine import settings
from engine.access import Role

_VIEWS = Path(__file__).with_name("views")
# file, title, address, icon, shown in the menu, what it is
_PAGES = {
    "overview": ("Overview", "", ":material/monitoring:", True, "The best results so far and what runs now."),
    "start": ("Get started", "start", ":material/rocket_launch:", False, "Real results, a short test, and what this machine can do."),
    "advisor": ("Advisor", "advisor", ":material/recommend:", True, "Which variant meets your limits on memory, quality and speed."),
    "new_experiment": ("New experiment", "new", ":material/add_circle:", True, "Choose a model, techniques and a workload, and run them."),
    "planner": ("Planner", "planner", ":material/memory:", True, "How much memory a run would take, and whether it fits a GPU."),
    "queue": ("Queue", "queue", ":material/pending_actions:", True, "What runs and what waits; cancel it here."),
    "experiments": ("Experiments", "experiments", ":material/list:", True, "All experiments, newest first."),
    "compare": ("Compare", "compare", ":material/compare_arrows:", True, "Variants of any experiments, side by side."),
    "reports": ("Reports", "reports", ":material/summarize:", True, "Saved views, frozen snapshots, and reports to download."),
    "catalogue": ("Catalogue", "catalogue", ":material/menu_book:", True, "Every technique, workload and metric, and how it works."),
    "claims": ("Claims", "claims", ":material/fact_check:", True, "What the chapter claims, and what was measured."),
    "experiment": ("Experiment", "experiment", ":material/science:", False, "One experiment: verdicts, charts, samples, downloads."),
    "audit": ("Who did what", "audit", ":material/history:", False, "Who started, cancelled, changed, shared or deleted what."),
    "view": ("View", "view", ":material/bookmark:", False, "A saved view or a frozen snapshot, by its link."),
}


def addresses() -> dict[str, str]:
    """{file of the view: address without the leading slash}, of every page that there is."""
    return {name: address for name, (_, address, *_) in _PAGES.items()}


def all_pages() -> list[st.Page]:
    """For st.navigation. A page that needs an id is in the menu only while it is looked at; that of admins, where people sign in."""
    here = (st.context.url or "").rstrip("/").rpartition("/")[2]
    looked_at = "id" in st.query_params
    for_admins = identity.required() and identity.current().role is Role.ADMIN
    return [
        st.Page(_path(name), title=title, url_path=address or None, icon=icon, default=not address, help=text,
                visibility="visible" if shown or (looked_at and here == address) or (name == "audit" and for_admins) else "hidden")
        for name, (title, address, icon, shown, text) in _PAGES.items()
    ]  # fmt: skip


def exists(name: str) -> bool:
    """Whether there is a page of this name; one that was saved by another version may name another."""
    return name in _PAGES


def link(name: str, label: str, params: Mapping[str, str] | None = None, icon: str | None = None) -> None:
    """A link to a page. `label` is text, not Markdown."""
    st.page_link(_path(name), label=escape(label), icon=icon or _PAGES[name][2], query_params=dict(params or {}))


def go(name: str, params: Mapping[str, str] | None = None) -> None:
    """Leave this page for another."""
    st.switch_page(_path(name), query_params=dict(params or {}))


def url(name: str, params: Mapping[str, str] | None = None) -> str:
    """The full address of a page, for others."""
    address = f"{settings.public_base_url()}/{_PAGES[name][1]}"
    return f"{address}?{urlencode(params)}" if params else address


def into_address(names: Sequence[str], params: Mapping[str, str]) -> None:
    """The address says these parameters; those of the names that have no value are gone from it."""
    for name in names:
        if name not in params and name in st.query_params:
            del st.query_params[name]
    st.query_params.update(params)


def _path(name: str) -> Path:
    assert name in _PAGES
    return _VIEWS / f"{name}.py"
