"""Draws the typed options of a technique or workload from its JSON schema, and reads them back as a dict.

Values live in st.session_state under `prefix.field`. Checks here only what the widgets cannot; the engine checks all again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import streamlit as st

from dashboard.words import escape

Schema = Mapping[str, Any]
State = MutableMapping[Any, Any]

_NUMBERS = {"integer": int, "number": float}


def fill(schema: Schema, prefix: str, values: Mapping[str, Any], state: State, *, overwrite: bool) -> None:
    """Put values, or the defaults, where the widgets look for them. overwrite: replace what the user typed."""
    for name, field in _fields(schema):
        key = f"{prefix}.{name}"
        if overwrite or key not in state:
            state[key] = _shown(field, values.get(name, field.get("default")))


def draw(schema: Schema, prefix: str, *, columns: int = 1, problems: Mapping[str, str] | None = None) -> None:
    """One widget per option, in the order of the schema, beside each other where there is room; `fill` comes first.

    problems: {option: what is wrong with it}, said below it.
    """
    for number, (name, field) in enumerate(_fields(schema)):
        if number % columns == 0:  # a row at a time: a phone shows columns one below the other, and keeps the order
            places = st.columns(columns)
        with places[number % columns]:
            _widget(name, field, f"{prefix}.{name}")
            if text := (problems or {}).get(name):
                st.markdown(f":red[:material/error: {escape(text)}]")


def read(schema: Schema, prefix: str, state: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """(options that differ from their defaults, problems as 'field: what to do')."""
    options: dict[str, Any] = {}
    problems: list[str] = []
    for name, field in _fields(schema):
        key = f"{prefix}.{name}"
        if key not in state:
            continue
        try:
            value = _value(name, field, state[key])
        except ValueError as error:
            problems.append(str(error))
            continue
        if value != field.get("default"):
            options[name] = value
    return options, problems


def can_draw(field: Schema) -> bool:
    """Whether there is a widget for such a field: numbers, choices, yes or no, text, lists of numbers or names, all perhaps optional."""
    kind = _kind(field)
    if kind == "array":
        return field_of_list(field).get("type") in (*_NUMBERS, "string")
    return "enum" in _inner(field) or kind in (*_NUMBERS, "boolean", "string")


def described(schema: Schema) -> list[dict[str, str]]:
    """Each option in words: Option, Takes, Default, What it is."""
    rows = []
    for name, field in _fields(schema):
        default = field.get("default")
        said = _shown(field, default) if _kind(field) == "array" else _choice_text(default) if isinstance(default, bool) or default is None else str(default)
        rows.append({"Option": name, "Takes": _takes(field), "Default": said, "What it is": str(field.get("description", ""))})
    return rows


def _takes(field: Schema) -> str:
    """'nf4, fp4', 'a whole number from 1 to 64', 'numbers from 1 on'."""
    if choices := _choices(field):
        return ", ".join(_choice_text(c) for c in choices)
    kind, inner = _kind(field), _inner(field)
    if kind == "array":
        inner, kind = field_of_list(field), str(field_of_list(field)["type"])
        word = {"integer": "whole numbers", "number": "numbers"}.get(kind, "names")
    else:
        word = {"boolean": "yes, no", "integer": "a whole number", "number": "a number"}.get(kind, "text")
    low = inner.get("minimum", inner.get("exclusiveMinimum"))
    high = inner.get("maximum", inner.get("exclusiveMaximum"))
    above, below = "above" if "exclusiveMinimum" in inner else "from", "below" if "exclusiveMaximum" in inner else "to"
    reach = " ".join(([above, f"{low:g}"] if low is not None else []) + ([below, f"{high:,.0f}" if high >= 1000 else f"{high:g}"] if high is not None else []))
    return f"{word} {reach}".strip() + (", or nothing" if _optional(field) else "")


def field_of_list(field: Schema) -> Schema:
    found: Schema = _inner(field)["items"]
    return found


def _fields(schema: Schema) -> list[tuple[str, Schema]]:
    definitions = schema.get("$defs", {})
    return [(name, _resolved(field, definitions)) for name, field in schema.get("properties", {}).items()]


def _resolved(field: Schema, definitions: Schema) -> Schema:
    """pydantic puts enums into $defs."""
    if "$ref" in field:
        target = definitions[field["$ref"].rpartition("/")[2]]
        return {**target, **{k: v for k, v in field.items() if k != "$ref"}}
    return field


def _inner(field: Schema) -> Schema:
    """The type of an optional field without its null."""
    return next((f for f in field.get("anyOf", ()) if f.get("type") != "null"), field)


def _optional(field: Schema) -> bool:
    return any(f.get("type") == "null" for f in field.get("anyOf", ()))


def _kind(field: Schema) -> str:
    return str(_inner(field).get("type", ""))


def _shown(field: Schema, value: Any) -> Any:
    if _kind(field) == "array":
        # a number alone is a list of one: experiments of earlier versions have some
        return ", ".join(str(v) for v in (value if isinstance(value, (list, tuple)) else [] if value is None else [value]))
    if _kind(field) == "string" and "enum" not in _inner(field):
        return value or ""
    return float(value) if _kind(field) == "number" and value is not None else value


def _widget(name: str, field: Schema, key: str) -> None:
    assert can_draw(field), f"{name}: there is no widget for {dict(field)}"
    inner, kind = _inner(field), _kind(field)
    label = name.replace("_", " ")
    common: dict[str, Any] = {"key": key, "help": _help(field)}
    if choices := _choices(field):
        st.selectbox(label, choices, format_func=_choice_text, persist_state="session", **common)
    elif kind == "boolean":
        st.toggle(label, persist_state="session", **common)
    elif kind in _NUMBERS:
        of = _NUMBERS[kind]
        low, high = _bound(inner, "minimum", of), _bound(inner, "maximum", of)
        st.number_input(label, min_value=low, max_value=high, step=of(1), value=None, persist_state="session", **common)
    else:
        st.text_input(label, persist_state="session", **common)


def _choices(field: Schema) -> list[Any]:
    """What there is to choose from: an enum, or yes, no and neither. Empty for other fields."""
    listed = _inner(field).get("enum", [True, False] if _kind(field) == "boolean" and _optional(field) else [])
    return [*listed, *([None] if listed and _optional(field) else [])]


def _choice_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "default" if value is None else str(value)


def _bound(inner: Schema, name: str, of: type[int] | type[float]) -> int | float | None:
    value = inner.get(name)
    return None if value is None else of(value)


def _help(field: Schema) -> str | None:
    parts = [field.get("description", "")]
    if _kind(field) == "array":
        several = "names with commas between them: q_proj, v_proj" if field_of_list(field)["type"] == "string" else "numbers with commas between them: 1, 4, 8"
        parts.append(f"Several {several}")
    return ". ".join(p for p in parts if p) or None


def _value(name: str, field: Schema, shown: Any) -> Any:
    """What the widget holds as an option. Raises ValueError naming the field."""
    kind = _kind(field)
    if kind == "array":
        of = field_of_list(field)["type"]
        return _parts(str(shown or "")) if of == "string" else _numbers(name, str(shown or ""), _NUMBERS[of])
    if shown is None and not _optional(field):
        raise ValueError(f"{name}: give a number; {field['default']} is the default" if "default" in field else f"{name}: give a value")
    if kind == "string" and shown == "" and _optional(field):
        return None
    return shown


def _parts(text: str) -> list[str]:
    return [p for p in re.split(r"[,;\s]+", text) if p]


def _numbers(name: str, text: str, of: type[int] | type[float]) -> list[int | float]:
    try:
        return [of(p) for p in _parts(text)]
    except ValueError:
        kind = "whole numbers" if of is int else "numbers"
        raise ValueError(f"{name}: {text!r} is not a list of {kind}; write for example 1, 4, 8") from None
