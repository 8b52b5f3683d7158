"""What commands print: names of experiments and variants as they are, whatever brackets they have."""

from __future__ import annotations

import pytest

from engine.terminal import print_rows


def test_a_name_with_brackets_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"name": "x[/b] [bold red]y", "available": True}], as_json=False)
    assert "x[/b] [bold red]y" in capsys.readouterr().out
