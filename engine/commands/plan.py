"""What a run would take of a GPU's memory, before anything runs: `plan`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from engine.metrics import format_bytes
from engine.terminal import AsJson, app, given, print_table


@app.command()
def plan(
    model: str,
    technique: Annotated[list[str] | None, typer.Option(help="A technique, as name or name(option=value); may be repeated.")] = None,
    workload: Annotated[str | None, typer.Option(help="generation, training_step or encoder_forward.")] = None,
    batch: Annotated[int | None, typer.Option(help="Sequences at once, over all GPUs.")] = None,
    seq_len: Annotated[int | None, typer.Option(help="Tokens of a prompt or a training sequence.")] = None,
    new_tokens: Annotated[int | None, typer.Option(help="Tokens that are generated.")] = None,
    accumulation: Annotated[int | None, typer.Option(help="Micro-batches of an optimizer step.")] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs that share a training.")] = None,
    parallelism: Annotated[str | None, typer.Option(help="How they share it: ddp or fsdp.")] = None,
    memory: Annotated[str | None, typer.Option(help="A GPU by name (H100), or a size (24GB, 24GiB).")] = None,
    as_json: AsJson = False,
) -> None:
    """Predict the bytes of a run by component, whether it fits, and the largest batch and sequence that do."""
    from engine.planning.plan_request import answer, request

    options = given(workload=workload, batch=batch, length=seq_len, new_tokens=new_tokens, accumulation=accumulation, gpus=gpus,
                    parallelism=parallelism, memory=memory)  # fmt: skip
    found = answer(request(model=model, techniques=technique or [], **options))
    if as_json:
        print(json.dumps(found))
        return
    print_table(_components(found))
    gpu = found["gpu"]
    print(f"{found['verdict']}: {format_bytes(found['peak_memory_bytes'])} at the peak ({found['moment']}), "
          f"{format_bytes(found['needed_bytes'])} with a margin; {gpu['name']} has {format_bytes(gpu['usable_bytes'])} for it")  # fmt: skip
    print(f"largest batch that fits: {found['largest_batch']}; longest sequence: {found['largest_length']} tokens")
    print_table(_scale(found["scale"]))


def _components(found: dict[str, Any]) -> Table:
    table = Table("component", "memory", title=f"{found['model']}, {found['variant']}, {found['workload']} {found['point']}, on each GPU")
    for name, value in found["components"].items():
        table.add_row(name.removesuffix("_bytes").replace("_", " "), format_bytes(value))
    return table


def _scale(rows: list[dict[str, Any]]) -> Table:
    names = [name for name in rows[0] if name.endswith("_bytes")]
    table = Table("model", "parameters", *(n.removesuffix("_bytes").replace("_", " ") for n in names), title="Weights alone, by precision")
    for row in rows:
        table.add_row(row["model"], f"{row['parameters']:,}", *("" if row[n] is None else format_bytes(row[n]) for n in names))
    return table
