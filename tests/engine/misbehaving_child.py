"""Stands in for the worker, without torch: behaves as the name of the model in its spec.json says.

A mode is a function below; 'sleep-1.5' calls sleep("1.5"). Modes that return end like a run that went well.
"""

import ctypes
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from engine.child_process import tie_to_parent

RUN_DIR = Path(sys.argv[1])
MEASUREMENT = {
    "metric": "load_seconds", "point": {"batch": 1}, "samples": [1.0, 2.0, 4.0], "warmups": [9.0],
    "value": 2.0, "status": "succeeded", "reason": None,
}  # fmt: skip
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def write(name: str, text: str) -> None:
    (RUN_DIR / f"{name}.tmp").write_text(text)
    (RUN_DIR / f"{name}.tmp").replace(RUN_DIR / name)


def succeed(**details: object) -> None:
    write("result.json", json.dumps({
        "status": "succeeded", "reason": None, "evidence": {"float32": {"facts": {"layers": 2}, "problem": None}},
        "environment": {"device": "test"}, "details": details,
    }))  # fmt: skip


def normal() -> None:
    print("all is well")


def timed(noise: str) -> None:
    """Decodes twice as fast with a technique as without one; in every other pair of runs e to the noise faster still, else slower."""
    fast = 2 if json.loads((RUN_DIR / "spec.json").read_text())["stack"] else 1
    up = 1 if (len(list(RUN_DIR.parent.iterdir())) - 1) // 2 % 2 else -1
    value = 10 * fast * math.exp(float(noise) * up * (fast - 1))
    with (RUN_DIR / "results.jsonl").open("a") as f:
        f.write(json.dumps(MEASUREMENT | {"metric": "decode_tokens_per_second", "samples": [value], "value": value}) + "\n")


def unheard() -> None:
    """Measures what this version has no word for."""
    with (RUN_DIR / "results.jsonl").open("a") as f:
        f.write(json.dumps(MEASUREMENT | {"metric": "happiness"}) + "\n")


def sleep(seconds: str) -> None:
    time.sleep(float(seconds))


def hang() -> None:
    time.sleep(600)


def linger() -> None:
    """Has handed everything in, and does not end."""
    print("still here")
    succeed()
    hang()


def stubborn() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    hang()


def deaf() -> None:
    """Holds the interpreter lock inside C: no thread of this process could notice anything."""
    ctypes.PyDLL(None).sleep(600)


def abort() -> None:
    print("about to abort")
    os.abort()


def segfault() -> None:
    ctypes.string_at(0)


def exit_(code: str) -> None:
    print("leaving early")
    os._exit(int(code))


def die_after_result() -> None:
    succeed()
    os._exit(5)


def result(text: str) -> None:
    """Leaves with this as its whole result."""
    write("result.json", RESULTS[text])
    os._exit(0)


RESULTS = {
    "truncated": '{"status": "succ',
    "prose": "done",
    "list": "[1, 2]",
    "unknown": '{"status": "splendid"}',
    "cancelled": '{"status": "cancelled"}',
    "nan": '{"status": "succeeded", "details": {"x": NaN}}',
    "infinite": '{"status": "succeeded", "details": {"x": 1e999}}',
    "nul": '{"status": "failed", "reason": "a\\u0000b \\ud800 hf_abcdefghijk", "details": {"k\\u0000": ["\\u0000"]}}',
    "nested": '{"status": "succeeded", "details": ' + '{"x":' * 5000 + "1" + "}" * 5001,
}


def line(kind: str) -> None:
    """One more line of results, wrong in some way."""
    texts = {"truncated": '{"metric": "ttft_sec', "nonsense": "oops\n", "nan": '{"metric": "x", "samples": [NaN]}\n'}
    with (RUN_DIR / "results.jsonl").open("a") as f:
        f.write(texts[kind])


def full() -> None:
    """Its disk is full when it wants to hand in its result."""
    with open("/dev/full", "w") as f:
        f.write("{}")


def flood(megabytes: str) -> None:
    for _ in range(int(megabytes)):
        os.write(1, b"x" * 999_999 + b"\n")
    print("the last words")


def binary() -> None:
    os.write(2, bytes(range(256)) * 100 + b"\nhf_abcdefghijklmnop and \xf0\x9f\x98\x80\n")


def children(what: str) -> None:
    """Leaves processes of its own behind, each harder to find, then ends or hangs."""
    (RUN_DIR / "pids").write_text("")
    started = [
        subprocess.Popen(SLEEPER),
        subprocess.Popen(SLEEPER, start_new_session=True),
        subprocess.Popen(SLEEPER, process_group=0),
    ]
    if what.startswith("bare"):
        started = [subprocess.Popen(SLEEPER, start_new_session=True, env={})]
    write("pids", " ".join(str(p.pid) for p in started))
    if what.endswith("hang"):
        hang()
    os._exit(4)


def eat(gibibytes: str) -> None:
    """Takes so much memory, and keeps it."""
    kept = [b"x" * 2**28 for _ in range(4 * int(gibibytes))]
    time.sleep(600 * bool(kept))


def traced() -> None:
    """Leaves a trace among the artifacts of its machine."""
    sha256 = hashlib.sha256(b"a trace").hexdigest()
    folder = Path(json.loads((RUN_DIR / "spec.json").read_text())["artifacts_dir"]) / "traces"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{sha256}.json.gz").write_bytes(b"a trace")
    succeed(profile={"trace": {"sha256": sha256, "size_bytes": 7}})
    os._exit(0)


def environment() -> None:
    succeed(environment=dict(os.environ), cwd=os.getcwd(), cwd_content=os.listdir(), stdin=sys.stdin.read(),
            score=Path("/proc/self/oom_score_adj").read_text().strip(), session=os.getsid(0) == os.getpid())  # fmt: skip
    os._exit(0)


def main() -> None:
    tie_to_parent()
    with (RUN_DIR.parent / "executions").open("a") as f:
        f.write(f"{RUN_DIR.name} {os.getpid()}\n")
    mode, _, argument = json.loads((RUN_DIR / "spec.json").read_text())["model"]["name"].partition("-")
    with (RUN_DIR / "results.jsonl").open("a") as f:
        f.write(json.dumps(MEASUREMENT) + "\n")
    write("progress.json", json.dumps({"phase": "warm-up", "step": 2, "steps": 3}))
    function = globals()[mode]
    function(*([argument] if argument else []))
    succeed()
    with (RUN_DIR.parent / "executions").open("a") as f:
        f.write(f"{RUN_DIR.name} ended\n")


main()
