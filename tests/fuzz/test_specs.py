"""The spec parser: data of any shape, and files that are YAML, nearly YAML or a trap for readers of YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.presets import load_spec, parse_spec, to_yaml
from engine.specs import expand
from tests.fuzz.hostile import changed, fuzz, is_clear, texts

SPEC: dict[str, Any] = {
    "title": "t", "model": "smollm2-135m", "device": "cpu", "rounds": 6, "baseline": "plain", "seed": 1, "threads": 2, "timeout_seconds": 60,
    "workload": {"name": "generation", "options": {"batch_sizes": [1, 4], "prompt_tokens": 8, "new_tokens": [4]}},
    "variants": [{"name": "plain", "stack": []}, "bnb_4bit(quant_type=fp4)", {"name": "b", "stack": ["bfloat16", {"technique": "kv_cache", "options": {}}]}],
    "grid": [[None, "bfloat16"], [None, {"technique": "bnb_4bit", "options": {"quant_type": "nf4"}}]],
    "profile": False, "control": True, "stop_early": True,
}  # fmt: skip
PIECES = ["title:", "model:", "- ", "{", "[", "&a", "*a", "<<:", "!!python/object:os.system", "? ", "|", ": ", "\n", "  "]


def check(data: Any) -> None:
    try:
        spec = parse_spec(data)
    except ValueError as error:
        is_clear(error)
        return
    assert expand(spec)
    assert parse_spec(yaml.safe_load(to_yaml(spec))) == spec, "what is accepted can be written down and read again"


def test_the_untouched_one_is_accepted() -> None:
    check(SPEC)
    assert parse_spec(SPEC).rounds == 6


@fuzz
@given(changed(SPEC))
def test_data_of_any_shape(data: Any) -> None:
    if isinstance(data, dict):  # what is no mapping is refused before
        check(data)


@fuzz
@given(data=st.one_of(
    changed(SPEC).map(lambda d: yaml.dump(d, allow_unicode=True).encode(errors="surrogatepass")),
    st.binary(max_size=300),
    st.lists(st.one_of(texts, st.sampled_from(PIECES)), max_size=12).map(lambda parts: "".join(parts).encode(errors="surrogatepass")),
))  # fmt: skip
def test_a_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(data)
    try:
        load_spec(str(path))
    except ValueError as error:
        is_clear(error)


@pytest.mark.parametrize(("text", "message"), [
    ("[" * 50_000, "file.yaml is not YAML: it is nested more than 30 deep"),
    ("a: " * 3 + "{" * 5_000, "is not YAML|nested more than"),
    ("title: t\n" + "#" * 2_000_000, "file.yaml: it has more than 256 kB, which are read at most"),
    ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", r"file.yaml is not YAML: \*a stands for another part; write that part out"),
    ("title: " + "9" * 6_000, "file.yaml is not YAML"),
    ("title: 2026-99-99", "file.yaml is not YAML"),
    ("title: !!python/object/apply:os.system [ls]", "file.yaml is not YAML"),
    ("title: t\ntitle: u\nmodel: gpt2", "file.yaml is not YAML: 'title' is there twice"),
])  # fmt: skip
def test_traps(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as refused:
        load_spec(str(path))
    is_clear(refused.value)
