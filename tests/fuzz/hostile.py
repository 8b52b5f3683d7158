"""What the fuzz tests share: how many cases, values that are hostile, and documents with some of them inside.

`make test` tries 100 cases of each, always the same; LAB_FUZZ=10000 tries so many, other ones each time.
"""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_CASES = os.environ.get("LAB_FUZZ", "")

fuzz = settings(
    max_examples=int(_CASES or 100), derandomize=not _CASES, deadline=None, database=None, print_blob=bool(_CASES),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip

LONGEST_COMPLAINT = 4_000

texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from([
        "", " ", "\x00", "\ud800", "a\nb", "\x1b[31m", "\u202e", "../../etc/passwd", "/etc", "http://169.254.169.254/", "=1+1", "1e999", "NaN", "-0",
        "<img src=x onerror=alert(1)>", "![](http://evil.example/x)", "'; DROP TABLE runs; --", "{{7*7}}", "x" * 3_000, "²", "٣", "hub:a/b@c", "local:..",
        "bnb_4bit(quant_type=fp4)", "bnb_4bit(", "bnb_4bit(a=&x [*x])", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    ]),
)  # fmt: skip
numbers = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**30, 10**400, -(10**400)]),
    st.floats(), st.sampled_from([1e308, -1e308, 5e-324, -0.0]),
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)), max_leaves=8)


@st.composite
def changed(draw: st.DrawFn, whole: Any, most: int = 4) -> Any:
    """A copy of a JSON document in which a few places were replaced, removed, doubled or added."""
    document = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, most))):
        document = _change(draw, document)
    return document


def _change(draw: st.DrawFn, document: Any) -> Any:
    at = document
    while isinstance(at, dict | list) and at:
        key = draw(st.sampled_from(sorted(at, key=repr))) if isinstance(at, dict) else draw(st.integers(0, len(at) - 1))
        if isinstance(at[key], dict | list) and at[key] and draw(st.integers(0, 3)):  # mostly deeper
            at = at[key]
            continue
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if how == "replace":
            at[key] = draw(values)
        elif how == "remove":
            del at[key]
        elif isinstance(at, dict):
            at[draw(texts)] = draw(values)
        else:
            at.insert(key, draw(st.one_of(values, st.just(copy.deepcopy(at[key])))))
        return document
    return draw(values)


def as_json(document: Any) -> bytes:
    """NaN and lone surrogates too, as a careless program writes them."""
    return json.dumps(document).encode()


@st.composite
def files(draw: st.DrawFn, whole: Any) -> bytes:
    """Mostly the document with something changed in it; sometimes its bytes are, or there is something else altogether."""
    kind = draw(st.integers(0, 9))
    if kind < 7:
        return as_json(draw(changed(whole)))
    if kind == 7:
        return draw(st.one_of(st.binary(max_size=200), values.map(as_json), st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{}"])))
    content = as_json(whole)
    start, length = draw(st.integers(0, len(content))), draw(st.integers(0, 200))
    return content[:start] + draw(st.binary(max_size=20)) + content[start + length :]


def is_clear(error: ValueError, *fields: str) -> None:
    """It begins with one of the fields, says something, fits on a screen and can be printed everywhere."""
    said = str(error)
    assert type(error) is ValueError or type(error).__module__.startswith("engine."), f"{type(error).__name__} is no sentence of ours: {said}"
    assert said.strip() and len(said) <= LONGEST_COMPLAINT, said[:200]
    assert not fields or said.startswith(fields), said
    assert all(c.isprintable() or c == "\n" for c in said), f"{said!r} would change a terminal"
