"""The advisor's page: the answer first, what fails and why, its state in the address; and red flags on an experiment's page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from db.records import import_record
from tests.dashboard.conftest import HOSTILE, finished, texts

Open = Callable[..., Any]


def test_an_empty_installation_says_what_to_do(db: Engine, open_page: Open) -> None:
    assert "Nothing has been measured yet" in texts(open_page("advisor"))


def test_the_answer_comes_first_and_the_others_say_why_not(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("advisor", budget="1GB")
    words = texts(page)
    assert "small. Decode throughput 60 tok/s, 2.00 x float32" not in words, "no peak was measured, so nothing passes the budget"
    assert "no variant meets every constraint: 1 failed, 2 not measured" in words
    page = open_page("advisor", budget="0.2GB", memory="weight_bytes")
    words = texts(page)
    assert "for smollm2-135m (generation, batch=1, prompt_tokens=128, new_tokens=64): small. Decode throughput 60 tok/s, 2.00 x float32" in words
    tables = [frame.value for frame in page.dataframe]
    ranking = tables[0].set_index("Variant")
    assert list(ranking.index) == ["small"] and ranking.loc["small", "Perplexity"].endswith("▼ worse")
    assert ranking.loc["small", "Runs"].startswith("quality 1 (")
    why = tables[1].set_index("Variant")["Why"]
    assert "weights 381 MiB, 191 MiB beyond the limit of 191 MiB" in why["float32"] and "did not fit" in why["huge"]


def test_the_inputs_are_in_the_address_and_come_from_it(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("advisor", objective="memory", memory="weight_bytes", loss="1%", point="batch=1")
    assert page.selectbox(key="advise_objective").value == "memory" and page.text_input(key="advise_loss").value == "1%"
    assert "float32 (the baseline). Weights 381 MiB" in texts(page)
    page.text_input(key="advise_loss").input("50%").run()
    assert "small. Weights 95.4 MiB, 0.25 x float32" in texts(page)
    page.selectbox(key="advise_objective").select("decode").run()
    assert not page.exception
    assert dict(page.query_params) == {"memory": "weight_bytes", "loss": "50%", "point": "batch=1"}, "what is usual is not in it"


def test_what_is_mistyped_is_said_with_the_fix(db: Engine, experiment: str, open_page: Open) -> None:
    for params, said in (
        ({"budget": "24"}, "write 24GB"), ({"loss": "1"}, "write 1%"), ({"speed": "fast"}, "min-speed: 'fast' is not a number"),
        ({"point": "batch=3"}, "nothing was measured at batch=3"),
    ):  # fmt: skip
        page = open_page("advisor", **params)
        assert said in texts(page) and not page.dataframe


def test_a_hostile_link_falls_back_and_is_reported(db: Engine, experiment: str, open_page: Open) -> None:
    words = texts(open_page("advisor", objective="<script>", model="nobody", device=HOSTILE[:80]))
    assert "The link asked for objective=<script>" in words and "The link asked for model=nobody" in words
    assert "Decode throughput 60 tok/s" in words, "as if it had asked for nothing"


def test_shapes_can_be_left_out(db: Engine, open_page: Open) -> None:
    shape = finished("A shape", "shape-experiment-00001")
    shape["experiment"]["spec"]["model"] = {"source": "shape", "name": "llama-7b", "revision": None}
    import_record(db, shape, "imported")
    assert "for llama-7b" in texts(open_page("advisor")) and "No experiment here" in texts(open_page("advisor", weights="real"))


def test_an_objective_that_nobody_measured(db: Engine, experiment: str, open_page: Open) -> None:
    assert "No experiment here measures that" in texts(open_page("advisor", objective="training"))


def test_answers_that_cannot_be_ranked_together_stand_apart(db: Engine, experiment: str, open_page: Open) -> None:
    other = finished("Another day", "another-experiment-001")
    other["variants"][0]["stack"] = other["experiment"]["spec"]["variants"][0]["stack"] = [{"technique": "bfloat16", "options": {}}]
    import_record(db, other, "imported")
    words = texts(open_page("advisor", point="batch=1"))
    assert "cannot be ranked together: they differ in baseline" in words
    assert "each is an answer of its own" in words


def test_an_experiment_that_cannot_be_read_is_named_and_the_others_answer(db: Engine, experiment: str, open_page: Open) -> None:
    other = finished("Of tomorrow", "of-tomorrow-experiment")
    import_record(db, other, "imported")
    from sqlalchemy import text

    with db.begin() as connection:
        connection.execute(text(
            "UPDATE measurements SET metric = 'of_tomorrow' WHERE run_id IN (SELECT id FROM runs WHERE experiment_id = 'of-tomorrow-experiment')"
        ))  # fmt: skip
    words = texts(open_page("advisor"))
    assert "Left out: Of tomorrow: metric: 'of_tomorrow' is not known" in words and "Decode throughput 60 tok/s" in words


def test_an_experiment_shows_its_red_flags(db: Engine, experiment: str, open_page: Open) -> None:
    page = open_page("experiment", id=experiment)
    (flags,) = [e for e in page.expander if e.label.startswith("Red flags")]
    assert flags.label == "Red flags: nothing quantized"
    words = "\n".join(str(e.value) for e in [*flags.markdown, *flags.caption]).replace("\\", "")
    assert "+ idea: nothing quantized" in words and "To try: Add a quantized variant (torchao_int8_weight_only)." in words
