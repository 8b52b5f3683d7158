"""Makes this machine part of a Ray cluster that a scheduler with RAY_ADDRESS serves."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from engine.terminal import app


@app.command()
def node(
    address: Annotated[str | None, typer.Argument(help="HOST:PORT of the cluster to join; without it, this machine starts one.")] = None,
    port: Annotated[int, typer.Option(help="Port of a cluster that is started.")] = 6379,
    host: Annotated[str | None, typer.Option(help="Address of this machine that the others reach.")] = None,
    idle: Annotated[bool, typer.Option("--idle", help="Run nothing here: for the machine of the pages.")] = False,
) -> None:
    """Start a Ray cluster on this machine, or join one, and offer its devices. Runs until stopped."""
    from engine.cluster.ray_start import command

    arguments, environment = command(address, port=port, host=host, idle=idle)
    os.execve(arguments[0], arguments, environment)
