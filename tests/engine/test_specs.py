"""Specs: defaults, the baseline that is always there, the order of runs, and refusals that name field and fix."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml

from engine.presets import load_spec, parse_spec, preset_names, to_yaml
from engine.specs import RunKind, TechniqueSpec, default_name, expand


def spec(**changes: Any) -> Any:
    return parse_spec({"title": "t", "model": "smollm2-135m", "rounds": 3, "variants": ["bfloat16", "bnb_4bit"]} | changes)


def test_the_stored_model_is_the_baseline_by_default() -> None:
    assert [v.name for v in spec().variants] == ["baseline", "bfloat16", "bnb_4bit"]
    assert spec().baseline == "baseline"
    assert [v.name for v in spec(baseline="bnb_4bit").variants] == ["bnb_4bit", "bfloat16"]


def test_rounds_interleave_twice_each_way_and_quality_is_once_baseline_first() -> None:
    runs = expand(spec(rounds=5))
    ways = [[r.variant for r in runs if r.kind is RunKind.SPEED and r.round == round_] for round_ in range(5)]
    assert ways == [[0, 1, 2], [0, 1, 2], [2, 1, 0], [2, 1, 0], [0, 1, 2]]
    assert [r.variant for r in runs if r.kind is RunKind.QUALITY] == [0, 1, 2]


def test_a_shape_has_no_quality_runs() -> None:
    assert all(r.kind is RunKind.SPEED for r in expand(spec(model="gpt2")))


def test_profiles_are_made_once_after_the_quality_and_where_asked_for() -> None:
    runs = expand(spec(profile=True))
    assert [(r.kind.value, r.round, r.variant) for r in runs[3:9]] == [("quality", 0, v) for v in range(3)] + [("profile", 0, v) for v in range(3)]
    assert len(runs) == 3 * 3 + 3 + 3 and sum(r.kind is RunKind.PROFILE for r in runs) == 3
    assert [r.kind.value for r in expand(spec(model="gpt2", profile=True))].count("profile") == 3, "of a shape too"
    assert all(r.kind is not RunKind.PROFILE for r in expand(spec()))
    assert parse_spec(yaml.safe_load(to_yaml(spec(profile=True)))).profile is True


def test_quality_can_be_turned_off() -> None:
    off = {"name": "generation", "options": {"quality_tokens": 0}}
    assert all(r.kind is RunKind.SPEED for r in expand(spec(workload=off)))


def test_grid_is_the_product_of_its_axes() -> None:
    grid = [[None, "bfloat16"], [None, "bnb_4bit", {"technique": "bnb_4bit", "options": {"quant_type": "fp4"}}]]
    names = [v.name for v in spec(variants=[], grid=grid).variants]
    assert names == [
        "baseline", "bnb_4bit", "bnb_4bit(quant_type=fp4)", "bfloat16", "bfloat16 + bnb_4bit", "bfloat16 + bnb_4bit(quant_type=fp4)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": ""}, "baseline: .*at least 1 character"),
        ({"grid": [["float16"] * 10] * 10}, "grid: 10000000000 variants are more than 2000 runs"),
        ({"rounds": 0}, "rounds: .*greater than or equal to 1"),
        ({"title": ""}, "title"),
        ({"model": "../../etc"}, "model: unknown model '../../etc'"),
        ({"model": "local:../../etc"}, "model: '../../etc' is not a model name"),
        ({"model": "hub:gpt2"}, "needs the 40-digit commit"),
        ({"model": "hub:../x@" + "a" * 40}, "is not a hub id"),
        ({"model": "smollm2"}, "did you mean 'smollm2-135m'"),
        ({"variants": ["flaot16"]}, "variants.0: unknown technique 'flaot16' .did you mean 'float16'"),
        ({"variants": [["float16"]]}, "variants.0"),
        ({"variants": [{"stack": ["float16", "bfloat16"]}]}, "both set the 'precision' slot"),
        ({"variants": ["float16", "float16"]}, "the name 'float16' is used twice"),
        ({"baseline": "nothing"}, "baseline: there is no variant 'nothing'"),
        ({"workload": {"options": {"batch_sizes": [0]}}}, "batch_sizes.0: .*greater than or equal to 1"),
        ({"workload": {"options": {"new_tokens": 10**9}}}, "new_tokens.0: .*less than or equal to 65536"),
        ({"workload": {"options": {"quality_tokens": 512}}}, "one window of 1024 tokens does not fit"),
        ({"workload": "genration"}, "unknown workload 'genration' .did you mean 'generation'"),
        ({"variants": [{"stack": [{"technique": "bnb_4bit", "options": {"quant_type": "nf3"}}]}]}, "quant_type"),
        ({"colour": "red"}, "colour: Extra inputs"),
        ({"rounds": 50, "grid": [[{"technique": "bnb_int8", "options": {"threshold": i}} for i in range(45)]]}, "more than 2000 runs"),
    ],
)  # fmt: skip
@pytest.mark.case("T29", "T42")
def test_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(**changes)


@pytest.mark.parametrize("name", preset_names())
def test_yaml_round_trip(name: str) -> None:
    preset = load_spec(name)
    assert parse_spec(yaml.safe_load(to_yaml(preset))) == preset
    assert parse_spec(preset.model_dump(mode="json")) == preset


def test_preset_and_file_errors(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="unknown preset 'quikstart' .did you mean 'quickstart'"):
        load_spec("quikstart")
    with pytest.raises(ValueError, match="no file"):
        load_spec(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="bad.yaml is not YAML"):
        load_spec(str(tmp_path / "bad.yaml"))
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ValueError, match="a mapping with title"):
        load_spec(str(tmp_path / "list.yaml"))


@pytest.mark.parametrize(("text", "options"), [
    ("bnb_4bit", {}), ("bnb_4bit()", {}), ("bnb_4bit(double_quant=False, quant_type=fp4)", {"double_quant": False, "quant_type": "fp4"}),
    ("kv_cache(mode=off)", {"mode": "off"}), ("lora(rank=8, dropout=5e-2, target_modules=['q_proj', 'k_proj'])",
     {"rank": 8, "dropout": 0.05, "target_modules": ["q_proj", "k_proj"]}),
])  # fmt: skip
def test_a_technique_as_text_with_options(text: str, options: dict[str, Any]) -> None:
    found = TechniqueSpec.model_validate(text)
    assert found.options == options
    assert default_name((found,)) == default_name((TechniqueSpec.model_validate(default_name((found,))),))


@pytest.mark.parametrize("text", ["bnb_4bit(", "bnb_4bit(double_quant)", "bnb_4bit(a=[1)", "bnb_4bit(a=1", "bnb_4bit(a={b)"])
def test_technique_text_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="is no technique; write name or name"):
        TechniqueSpec.model_validate(text)


def test_a_short_text_cannot_stand_for_gigabytes() -> None:
    levels = ",".join(f"{b}=&{b} [{','.join([f'*{a}'] * 9)}]" for a, b in itertools.pairwise("abcdefghij"))
    with pytest.raises(ValueError, match="options have neither & nor"):
        TechniqueSpec.model_validate(f"x(a=&a [1],{levels})")
