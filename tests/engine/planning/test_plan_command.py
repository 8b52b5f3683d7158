"""`python -m engine plan` as programs use it; once in a process of its own."""

from __future__ import annotations

import json

import pytest

from tests.command_line import engine, program


def test_the_document_has_bytes_by_component_and_nothing_else_is_on_stdout() -> None:
    done = program("plan", "llama-13b", "--technique", "bnb_4bit(double_quant=False)", "--technique", "lora", "--workload", "training_step", "--batch", "2",
                "--seq-len", "256", "--memory", "24GB", "--json")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert set(found["components"]) == {f"{n}_bytes" for n in ("weights", "kv_cache", "gradients", "optimizer", "activations", "workspace")}
    assert found["stack"][0] == {"technique": "bnb_4bit", "options": {"double_quant": False}}
    assert found["verdict"] in ("fits", "may not fit", "does not fit") and found["largest_batch"] > 0


def test_the_table_says_whether_it_fits_and_has_the_chapters_models() -> None:
    done = engine("plan", "llama-65b", "--technique", "float16", "--memory", "A100-80GB")
    assert done.returncode == 0
    assert "does not fit" in done.stdout and "largest batch that fits: 0" in done.stdout and "GPT-3" in done.stdout and "activations" in done.stdout


@pytest.mark.parametrize(("arguments", "field"), [
    (("llama-7b", "--memory", "H1"), "memory: "), (("lama-7b",), "model: "), (("llama-7b", "--technique", "nf4"), "technique"),
    (("llama-7b", "--gpus", "2"), "gpus: "), (("llama-7b", "--batch", "0"), "batch: "),
])  # fmt: skip
def test_bad_input_is_exit_2_with_the_field(arguments: tuple[str, ...], field: str) -> None:
    done = engine("plan", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert field in done.stderr.replace("\n", " ") and "Traceback" not in done.stderr
