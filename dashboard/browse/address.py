"""The filter grammar: what an address or a request to the HTTP routes says of a list of experiments, read and written in one place.

Nothing that is read is trusted: what cannot be is left out and named. Draws nothing and asks no database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from dashboard.routes.endpoints import Parameter
from db.filter import ARCHIVE, FACETS, PAGE_SIZE, SORTS, SOURCES, STATES, Filter

SEARCH_CHARACTERS = 200
VALUE_CHARACTERS = 300
MOST_VALUES = 50
LARGEST_PAGE = 500
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2999, 12, 31)
MOST_CHOSEN = 200
"""So many experiments can be ticked at once: about 4,600 characters of an address."""

COLUMNS = ("status", "model", "workload", "device", "fastest", "smallest", "techniques", "variants", "tags", "owner", "created", "source", "id")
USUAL_COLUMNS = ("status", "model", "device", "fastest", "smallest", "techniques", "tags", "owner", "created")
"""Beside the title, which is always there."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SORT_WORDS = tuple(s for key in SORTS for s in (key, f"-{key}"))
_KNOWN = {"status": STATES, "source": SOURCES}

_MANY = ("id", *FACETS)

Params = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Problem:
    """What was asked for in vain, by the name of the parameter."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}"


@dataclass(frozen=True)
class View:
    """What the page shows: the filter, its columns, the ticked experiments, and the facets of which all values are drawn."""

    filter: Filter = field(default_factory=Filter)
    columns: tuple[str, ...] = USUAL_COLUMNS
    chosen: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


GRAMMAR = (
    Parameter("q", "Words; each must occur in title, model, id or note"),
    Parameter("id", "Only these experiments", repeated=True),
    Parameter("status", "running, queued and finished exclude each other; the others say that some run ended so", STATES, repeated=True),
    Parameter("model", "Name of the model as experiments write it", repeated=True),
    Parameter("technique", "Occurs in some variant", repeated=True),
    Parameter("workload", "Name of the workload", repeated=True),
    Parameter("device", "Name of the hardware, such as NVIDIA H200; what was asked for where no run has told it yet", repeated=True),
    Parameter("tag", "Has this tag", repeated=True),
    Parameter("owner", "Who made it", repeated=True),
    Parameter("source", "Where it comes from", SOURCES, repeated=True),
    Parameter("from", "Created on this day or later, UTC: 2026-01-31"),
    Parameter("to", "Created on this day or earlier, UTC"),
    Parameter("archived", "no: those that are not, which is usual", ARCHIVE),
    Parameter("sort", "Key of the order, descending with a - in front; -created is usual", _SORT_WORDS),
    Parameter("page", "From 1"),
    Parameter("size", f"Rows of a page, 1 to {LARGEST_PAGE}; {PAGE_SIZE} is usual"),
)
OF_THE_PAGE = ("columns", "chosen", "more")
NAMES = (*(p.name for p in GRAMMAR), *OF_THE_PAGE)


def read(params: Params) -> tuple[Filter, list[Problem]]:
    """params: all values of each parameter, which may also stand in one with commas. Unknown names are problems too: a filter that is
    misspelt must not show everything."""
    problems: list[Problem] = []
    known = {p.name for p in GRAMMAR}
    problems += [Problem(_printable(name)[:40], "there is no such parameter") for name in params if name not in known]
    found: dict[str, Any] = {name: _values(params, name, problems) for name in _MANY}
    found["id"] = _only(found["id"], "id", _ID.fullmatch, "cannot be an id", problems)
    for name, allowed in _KNOWN.items():
        found[name] = _only(found[name], name, allowed.__contains__, f"is not known; choose from {', '.join(allowed)}", problems)
    found["q"] = _text(params, "q", SEARCH_CHARACTERS, problems) or ""
    first, last = _day(params, "from", problems), _day(params, "to", problems)
    if first and last and last < first:
        problems.append(Problem("to", f"{last} is before from={first}"))
        last = None
    sort = _one_of(params, "sort", _SORT_WORDS, "-created", problems)
    archived = _one_of(params, "archived", ARCHIVE, "no", problems)
    page, size = _number(params, "page", 10**6, 1, problems), _number(params, "size", LARGEST_PAGE, PAGE_SIZE, problems)
    return Filter(**found, first=first, last=last, archived=archived, sort=sort.removeprefix("-"), descending=sort.startswith("-"),
                  page=page, size=size), problems  # fmt: skip


def write(wanted: Filter) -> dict[str, str]:
    """What an address must say so that `read` gives this filter back; defaults are left out."""
    said = {name: _joined(values) if name in _MANY else values[0] for name, values in _values_of(wanted).items()}
    usual = Filter()
    if (wanted.sort, wanted.descending) != (usual.sort, usual.descending):
        said["sort"] = "-" * wanted.descending + wanted.sort
    if wanted.page != usual.page:
        said["page"] = str(wanted.page)
    if wanted.size not in (usual.size, None):
        said["size"] = str(wanted.size)
    return said


def read_view(params: Params) -> tuple[View, list[Problem]]:
    """The same with what belongs to the page alone: columns, ticked experiments and facets drawn in full, each a list with commas."""
    wanted, problems = read({name: values for name, values in params.items() if name not in OF_THE_PAGE})
    listed = tuple(c for c in _listed(params, "columns") if c != "title")  # it is always there, and stands for a table without others
    columns = _only(listed, "columns", COLUMNS.__contains__, f"is no column; choose from {', '.join(COLUMNS)}", problems)
    chosen = _only(_listed(params, "chosen"), "chosen", _ID.fullmatch, "cannot be an id", problems)
    if len(chosen) > MOST_CHOSEN:
        problems.append(Problem("chosen", f"{len(chosen) - MOST_CHOSEN} more than the {MOST_CHOSEN} that can be chosen are left out"))
    more = _only(_listed(params, "more"), "more", FACETS.__contains__, "is no filter with values", problems)
    return View(wanted, columns if "columns" in params else USUAL_COLUMNS, chosen[:MOST_CHOSEN], more), problems


def write_view(view: View) -> dict[str, str]:
    """What the page's address must say so that `read_view` gives this view back."""
    said = write(view.filter)
    if view.columns != USUAL_COLUMNS:
        said["columns"] = ",".join(view.columns) or "title"
    return said | {name: ",".join(values) for name, values in (("chosen", view.chosen), ("more", view.more)) if values}


def active(wanted: Filter) -> list[tuple[str, str]]:
    """(filter, value) of everything that is set, in the order of the grammar; sorting and paging filter nothing."""
    return [(name, value) for name, values in _values_of(wanted).items() for value in values]


def without(wanted: Filter, name: str, value: str | None = None) -> Filter:
    """The filter without one of its values, or without all that one parameter says."""
    attribute = {"from": "first", "to": "last"}.get(name, name)
    kept = tuple(v for v in getattr(wanted, attribute) if value is not None and v != value) if name in _MANY else ()
    changed: dict[str, Any] = {attribute: kept or getattr(Filter(), attribute), "page": 1}
    return replace(wanted, **changed)


def _values_of(wanted: Filter) -> dict[str, tuple[str, ...]]:
    """What is set, by the names of the grammar and in its order."""
    found: dict[str, tuple[str, ...]] = {name: getattr(wanted, name) for name in _MANY}
    found["q"] = (wanted.q.strip(),) if wanted.q.strip() else ()
    found["from"], found["to"] = ((day.isoformat(),) if day else () for day in (wanted.first, wanted.last))
    found["archived"] = (wanted.archived,) if wanted.archived != Filter().archived else ()
    return {p.name: found[p.name] for p in GRAMMAR if found.get(p.name)}


def _joined(values: Sequence[str]) -> str:
    """Values are separated by commas; a comma in a value is written %2C, and a % then %25."""
    return ",".join(v.replace("%", "%25").replace(",", "%2C") for v in values)


def _split(text: str) -> list[str]:
    return [v.replace("%2C", ",").replace("%2c", ",").replace("%25", "%") for v in text.split(",")]


def _values(params: Params, name: str, problems: list[Problem]) -> tuple[str, ...]:
    given = dict.fromkeys(v.strip() for text in params.get(name, ()) for v in _split(text) if v.strip())
    if len(given) > MOST_VALUES:
        problems.append(Problem(name, f"{len(given)} values are more than {MOST_VALUES}"))
    fits = [v for v in given if len(v) <= VALUE_CHARACTERS and v == _printable(v)]
    if len(fits) < len(given):
        problems.append(Problem(name, f"values have at most {VALUE_CHARACTERS} characters that can be printed"))
    return tuple(fits[:MOST_VALUES])


def _listed(params: Params, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (_printable(v) for text in params.get(name, ())[:1] for v in text[:10_000].split(",")))))


def _only(values: Iterable[str], name: str, allowed: Callable[[str], Any], otherwise: str, problems: list[Problem]) -> tuple[str, ...]:
    """Those that are allowed; the first of the others is named."""
    given = tuple(values)
    kept = tuple(v for v in given if allowed(v))
    if len(kept) < len(given):
        problems.append(Problem(name, f"{next(v for v in given if not allowed(v))[:40]!r} {otherwise}"))
    return kept


def _text(params: Params, name: str, longest: int, problems: list[Problem]) -> str | None:
    """The last value; None where there is none or it is too long."""
    value = _printable((params.get(name) or ("",))[-1]).strip()
    if len(value) > longest:
        problems.append(Problem(name, f"it has {len(value)} characters; at most {longest} are read"))
        return None
    return value or None


def _day(params: Params, name: str, problems: list[Problem]) -> date | None:
    value = _text(params, name, VALUE_CHARACTERS, problems)
    try:
        day = date.fromisoformat(value) if value else None
    except ValueError:
        day = date.min
    if day and not FIRST_DAY <= day <= LAST_DAY:
        problems.append(Problem(name, f"{(value or '')[:40]!r} is no day from {FIRST_DAY} to {LAST_DAY}; write 2026-01-31"))
        return None
    return day


def _one_of(params: Params, name: str, allowed: Sequence[str], usual: str, problems: list[Problem]) -> str:
    value = _text(params, name, VALUE_CHARACTERS, problems)
    if value is None or value in allowed:
        return value or usual
    problems.append(Problem(name, f"{value[:40]!r} is not known; choose from {', '.join(allowed)}"))
    return usual


def _number(params: Params, name: str, largest: int, usual: int, problems: list[Problem]) -> int:
    value = _text(params, name, VALUE_CHARACTERS, problems)
    if value is None:
        return usual
    if value.isascii() and value.isdigit() and len(value) <= 12 and 1 <= int(value) <= largest:
        return int(value)
    problems.append(Problem(name, f"{value[:40]!r} is no number from 1 to {largest:,}"))
    return usual


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())
