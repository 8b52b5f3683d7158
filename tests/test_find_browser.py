"""The script that finds or installs a browser for `make test`, in a copy of the tree whose installers are stand-ins."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from engine.settings import REPOSITORY

STARTS = "exit 0"


class Machine:
    """A machine with nothing but a shell; commands are put on it one by one."""

    def __init__(self, root: Path) -> None:
        self.root, self.commands = root, root / "bin"
        for folder in (self.commands, root / "tests", root / ".venv" / "bin"):
            folder.mkdir(parents=True)
        shutil.copy(REPOSITORY / "tests" / "find_browser.sh", root / "tests")
        for name in ("sh", "dirname", "cp", "cat"):
            found = shutil.which(name)
            assert found
            (self.commands / name).symlink_to(found)
        self.command("id", "echo 1000")
        self.command(".venv/bin/python", f"cat >/dev/null; echo {root}/downloaded")  # where Playwright would have put one
        self.command(".venv/bin/playwright", "exit 1")

    def command(self, name: str, script: str) -> Path:
        path = (self.root if "/" in name else self.commands) / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def installs(self, source: str, target: Path) -> str:
        """A script that puts a working browser there."""
        self.command(source, STARTS)
        return f"cp {self.commands / source} {target}; echo talk"

    def find(self, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["/bin/sh", str(self.root / "tests" / "find_browser.sh")]
        return subprocess.run(command, env={"PATH": str(self.commands)} | environment, check=False, capture_output=True, text=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])
def test_an_installed_one_is_used(machine: Machine, name: str) -> None:
    path = machine.command(name, STARTS)
    assert machine.find().stdout == f"{path}\n"


def test_one_that_does_not_start_is_passed_over(machine: Machine) -> None:
    machine.command("chromium", "echo install me with another tool; exit 1")
    path = machine.command("google-chrome", STARTS)
    assert machine.find().stdout == f"{path}\n"


def test_the_named_one_comes_first_and_must_start(machine: Machine) -> None:
    machine.command("chromium", STARTS)
    own = machine.command("own", STARTS)
    assert machine.find(LAB_BROWSER=str(own)).stdout == f"{own}\n"
    refused = machine.find(LAB_BROWSER="/nowhere/chrome")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "LAB_BROWSER: /nowhere/chrome does not start" in refused.stderr


def test_playwrights_own_is_used(machine: Machine) -> None:
    path = machine.command("./downloaded", STARTS)
    assert machine.find().stdout == f"{machine.root}/{path.name}\n"


def test_root_installs_with_apt(machine: Machine) -> None:
    machine.command("id", "echo 0")
    machine.command("apt-get", f'[ "$1" = update ] && exit; {machine.installs("package", machine.commands / "chromium")}')
    assert machine.find().stdout == f"{machine.commands}/chromium\n"  # what apt says is not part of it


@pytest.mark.parametrize("user", ["0", "1000"])
def test_without_apt_or_where_it_fails_playwright_downloads_one(machine: Machine, user: str) -> None:
    machine.command("id", f"echo {user}")
    machine.command("apt-get", "exit 100")
    machine.command(".venv/bin/playwright", machine.installs("browser", machine.root / "downloaded"))
    assert machine.find().stdout == f"{machine.root}/downloaded\n"


def test_where_nothing_works_it_fails_with_the_line_to_type(machine: Machine) -> None:
    found = machine.find()
    assert (found.returncode, found.stdout) == (1, "")
    assert "sudo apt-get install chromium" in found.stderr
