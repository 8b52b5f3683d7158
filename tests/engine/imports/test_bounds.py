"""What no reader of a foreign file believes: numbers and texts beyond all bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.imports import tools
from engine.imports.reading import parse

FILES = Path(__file__).with_name("files")


def test_a_number_beyond_all_bounds_is_named() -> None:
    with pytest.raises(ValueError, match="f: a: a number is expected, not a number beyond all bounds"):
        parse(b'{"a": 1' + b"0" * 400 + b"}", "f").at("a").number()


def test_a_version_that_is_a_novel_is_shortened() -> None:
    data = json.loads((FILES / "lm_eval.json").read_text()) | {"lm_eval_version": "9" * 3_000}
    record = tools.read_file("lm_eval.json", json.dumps(data).encode())
    assert record["experiment"]["title"].endswith(f"(imported from lm-eval {'9' * 40})")
