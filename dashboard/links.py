"""What a link of this product says: reads it from the address, tolerant of anything, and writes it.

The address is one of three homes of state. Nothing from it is trusted: an unknown value falls back and is reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from engine import settings, variant_ref
from engine.variant_ref import RefList, VariantRef

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_LONGEST = 300


@dataclass(frozen=True)
class ChartView:
    """What the trade-off chart shows. `point` is a point_label, None for the first."""

    x: str
    y: str
    point: str | None


def text(params: Mapping[str, str], name: str) -> str | None:
    """A parameter without control characters, None where it is missing, empty or absurdly long."""
    value = "".join(c for c in params.get(name, "") if c.isprintable()).strip()
    return value if 0 < len(value) <= _LONGEST else None


def experiment_id(params: Mapping[str, str], name: str = "id") -> str | None:
    """An id that could exist; None where there is none or it cannot be one."""
    value = text(params, name)
    return value if value is not None and _ID.fullmatch(value) else None


def experiment_ids(params: Mapping[str, str], name: str = "from", most: int = 12) -> list[str]:
    """Ids that could exist, each once and in order; what cannot be one is left out."""
    found = dict.fromkeys(piece for piece in params.get(name, "").split(",") if _ID.fullmatch(piece))
    return list(found)[:most]


def variants(params: Mapping[str, str], name: str = "variants") -> RefList:
    """The variants that an address names; what cannot be a reference stands in `malformed`."""
    return variant_ref.read(params.get(name, ""))


def variant(params: Mapping[str, str], name: str = "base") -> VariantRef | None:
    """One variant; None where there is none or it cannot be one."""
    return variant_ref.parse(params.get(name, ""))


def page_number(params: Mapping[str, str], pages: int) -> int:
    """From 1 to `pages`; what is out of range or no number becomes the nearest that exists."""
    value = text(params, "page") or "1"
    return min(max(int(value), 1), max(pages, 1)) if value.isascii() and value.isdigit() else 1


def permalink(experiment: str, params: Mapping[str, str] | None = None) -> str:
    """The full address of an experiment's page, of this very view where params say more."""
    link = settings.experiment_link(experiment)
    return f"{link}&{urlencode(params)}" if params else link
