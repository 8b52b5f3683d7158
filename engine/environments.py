"""The named environments that layer over the core one, because what they need contradicts it.

A layered environment is a second venv without pip: its own few packages come first, all others (torch above all) are the
core's, found through a .pth file. Owns where they are, whether they are there, and making them; imports nothing of them.
Usage: python -m engine.environments NAME
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.machinery
import importlib.metadata
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import settings
from engine.settings import REPOSITORY

CORE = "core"
_PTH = "core.pth"
_STAMP = "installed"
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class LayeredEnvironment:
    """One environment. `requirements` lists every package that it adds, pinned; none of their dependencies is installed."""

    name: str
    requirements: str

    @property
    def folder(self) -> Path:
        return settings.environments_dir() / f".venv-{self.name}"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    @property
    def install_command(self) -> str:
        return f"python -m engine.environments {self.name}"

    def installed(self) -> bool:
        """Whether it is there, whole, made from today's list of packages, and the core that it was layered over still exists."""
        try:
            stamp = (self.folder / _STAMP).read_text()
            core = self.core()
        except OSError:
            return False
        return stamp == self._stamp() and self.python.exists() and all(Path(p).is_dir() for p in core)

    def core(self) -> list[str]:
        """Folders of the packages that it is layered over; raises OSError where it is not there."""
        return [line for line in (self.packages / _PTH).read_text().split("\n") if line]

    def has(self, package: str) -> bool:
        """Whether an import of this top-level package would find it there, without importing anything."""
        return importlib.machinery.PathFinder.find_spec(package, [str(self.packages), *self.core()]) is not None

    def missing(self, packages: Sequence[str]) -> str | None:
        """In words what is not there and the command that installs it, else None."""
        if not self.installed():
            return f"needs the {self.name} environment: {self.install_command}"
        absent = [p for p in packages if not self.has(p)]
        return f"needs {' and '.join(absent)} in the {self.name} environment: {self.install_command}" if absent else None

    def _stamp(self) -> str:
        """Its content names the list of packages and the Python that they were installed for."""
        digest = hashlib.sha256((REPOSITORY / self.requirements).read_bytes()).hexdigest()
        return f"{digest} python{sys.version_info.major}.{sys.version_info.minor}\n"

    def make(self) -> bool:
        """Install it where it is not; anew where it is half made or out of date. False if nothing was to do.

        Raises OSError where the folder cannot be written, ValueError where pip fails (it has said why).
        """
        if self.installed():
            return False
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.folder.with_name(f"{self.folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be making it
            if self.installed():
                return False
            shutil.rmtree(self.folder, ignore_errors=True)
            venv.create(self.folder, with_pip=False, symlinks=True)
            (self.packages / _PTH).write_text("\n".join(core_packages()) + "\n")
            # by the core's pip, into this folder: it neither sees nor touches what the core has, and brings no torch
            command = [
                sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps", "--retries", "2",
                "--target", str(self.packages), "--requirement", str(REPOSITORY / self.requirements),
            ]  # fmt: skip
            if subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=2).returncode != 0:
                raise ValueError(f"{self.name} environment: pip could not install {self.requirements}; see above")
            (self.folder / _STAMP).write_text(self._stamp())
        return True


ENVIRONMENTS = {
    e.name: e
    for e in (
        LayeredEnvironment("onnx", "requirements-onnx.txt"),
        LayeredEnvironment("tensorrt", "requirements-tensorrt.txt"),
        LayeredEnvironment("hqq", "requirements-hqq.txt"),
        LayeredEnvironment("gptq", "requirements-gptq.txt"),
    )
}


def installed(distribution: str) -> bool:
    """Whether this process's own environment has a distribution, by the name that pip knows it under. Imports nothing."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def core_packages() -> list[str]:
    """Folders in which the core environment's packages are, in whichever environment this interpreter is."""
    layered = current()
    if layered is not None:
        return layered.core()
    return [p for p in sys.path if Path(p).name in _PACKAGE_FOLDERS]


def current() -> LayeredEnvironment | None:
    """The layered environment that this interpreter belongs to; None in the core."""
    here = Path(sys.prefix).resolve()
    return next((e for e in ENVIRONMENTS.values() if e.folder.resolve() == here), None)


def python_of(name: str) -> str:
    """The interpreter of an environment; raises KeyError for a name that there is not."""
    return sys.executable if name == CORE else str(ENVIRONMENTS[name].python)


def main(arguments: Sequence[str]) -> int:
    """Exit code 0, or 2 with one line on stderr."""
    if len(arguments) != 1 or arguments[0] not in ENVIRONMENTS:
        print(f"usage: python -m engine.environments {'|'.join(ENVIRONMENTS)}", file=sys.stderr)
        return 2
    environment = ENVIRONMENTS[arguments[0]]
    try:
        made = environment.make()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if made:
        print(f"{environment.name} environment: {environment.folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
