"""The Experiments page as a visitor has it, for its tests: opened by an address, read and clicked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, update
from streamlit.testing.v1 import AppTest

from dashboard.browse import table
from dashboard.browse.address import View
from db.tables import Experiment
from engine import api, settings
from engine.presets import parse_spec

Ids = dict[str, str]


def submit(db: Engine, title: str, *variants: str, owner: str = "ada", **changes: Any) -> str:
    spec = parse_spec({"title": title, "model": "tiny-llama", "rounds": 3, "variants": list(variants or ("bfloat16",))} | changes)
    return api.submit(db, spec, owner=owner)


def set_row(db: Engine, experiment: str, **values: Any) -> None:
    with db.begin() as connection:
        connection.execute(update(Experiment).where(Experiment.id == experiment).values(**values))


def open_list(**params: str | list[str]) -> AppTest:
    """As a visitor who comes by a link."""
    page = AppTest.from_file(str(settings.REPOSITORY / "dashboard" / "main.py"), default_timeout=60)
    page.switch_page("views/experiments.py")
    for drawer in ("browse_order", "browse_organize", "browse_days"):  # opened: what is in them is drawn only then
        page.session_state[drawer] = True
    for name, value in params.items():
        page.query_params[name] = value
    return rerun(page)


def rerun(page: Any) -> AppTest:
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def titles(page: AppTest) -> list[str]:
    return [link.partition("#")[2] for link in page.dataframe[0].value["title"]] if page.dataframe else []


def said(page: AppTest) -> dict[str, str]:
    """What the page's address says."""
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in page.query_params.items()}


def held(page: AppTest, key: str, otherwise: Any) -> Any:
    return page.session_state[key] if key in page.session_state else otherwise  # noqa: SIM401 - it has no `get`


def controls(page: AppTest) -> dict[str, Any]:
    kinds = ("button_group", "selectbox", "multiselect", "text_input", "date_input")
    found = {w.key: w.value for kind in kinds for w in page.get(kind) if w.key and w.key != "browse_tags"}
    return found | {"page": held(page, "browse_page", None)}


def tick(page: AppTest, *rows: int) -> AppTest:
    """AppTest cannot click in a table: what its callback does is done here; tests/browser clicks for real."""
    view = held(page, "browse_view", View())
    view = replace(view, chosen=table.chosen_now(view.chosen, page.session_state["browse_ids"], rows))
    page.session_state["browse_view"], page.session_state["browse_changed"] = view, True
    return rerun(page)


def ticked(page: AppTest) -> list[str]:
    return [titles(page)[row] for row in page.session_state["browse_table"]["selection"]["rows"]]
