"""The template: a process that has torch and transformers imported and does nothing but fork. Each run is a fork of it.

A run is as isolated as if it had been started anew (no other run was ever in this process), without waiting for imports. The
template starts no thread of its own, runs no operator and never touches a GPU: a CUDA context does not survive a fork.
Usage (by engine/children.py): python -m engine.template FD, a socket that orders come through.
"""

# The first statements tie this process to its parent, before anything slow is imported.
import os
import signal

from engine.child_process import PARENT_VARIABLE, die_with_parent

if (_parent := os.environ.pop(PARENT_VARIABLE, None)) is not None:
    die_with_parent(int(_parent), signal.SIGKILL)

import functools
import gc
import inspect
import json
import socket
import sys
from pathlib import Path
from typing import Any

from engine import file_pages
from engine.child_process import MARK_VARIABLE, MESSAGE_BYTES, tie_to_parent, write_mark

_MOST_DESCRIPTORS = 64


def main(descriptor: int) -> None:
    """Serve orders until the other end is closed. Returns in a forked child, when its run is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent to deal with
    _import()
    forget_noes()
    gc.collect()
    gc.freeze()  # else each collection in a child would look through all that is imported, and copy every page of it by writing to it
    mapped = file_pages.mapped()
    orders = socket.socket(fileno=descriptor)
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, MESSAGE_BYTES, _MOST_DESCRIPTORS)
        if not message:
            return
        order = json.loads(message)
        if "reap" in order:
            _, status, usage = os.wait4(order["reap"], 0)
            answer = {"status": status, "peak_bytes": usage.ru_maxrss * 1024}
        elif (pid := os.fork()) == 0:
            orders.close()
            file_pages.map_again(mapped)
            _become(order, descriptors)
            return
        else:
            for fd in descriptors:
                os.close(fd)
            answer = {"pid": pid}
        orders.send(json.dumps(answer).encode())


def _import() -> None:
    """What every run imports and what takes long. Models' own modules are left out: they import what only some runs need."""
    import torch  # noqa: F401
    import transformers.generation.utils
    import transformers.modeling_utils
    import transformers.models.auto.modeling_auto
    import transformers.models.auto.tokenization_auto  # noqa: F401

    import engine.environment
    import engine.loading
    import engine.quality
    import engine.worker  # noqa: F401


def forget_noes() -> None:
    """Forget every "no" that a cached function without arguments has answered: while it was imported no GPU could be seen, so whether
    Triton works, say, is asked again in the run, where one can be."""
    cached = type(functools.cache(lambda: None))
    for asked in [o for o in gc.get_objects() if isinstance(o, cached) and o.cache_info().currsize and not _parameters(o)]:
        answer = asked()
        if answer is False or (isinstance(answer, tuple) and answer[:1] == (False,)):
            asked.cache_clear()


def _parameters(function: Any) -> int:
    try:
        return len(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # one that is written in C
        return 1


def _become(order: dict[str, Any], descriptors: list[int]) -> None:
    """Be the child of one run. descriptors: where its output goes, then those that only have to stay open."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output, *kept = descriptors
    for fd in kept:
        os.set_inheritable(fd, True)  # what the run starts keeps them open too
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for fd in (1, 2):
        os.dup2(output, fd)
    os.close(output)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    write_mark(order["environment"][MARK_VARIABLE])
    tie_to_parent()
    # a worker that wants a group of processes starts itself again
    sys.orig_argv = [sys.executable, "-m", "engine.worker", order["run_dir"]]
    from engine.worker import main as work

    work(Path(order["run_dir"]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
