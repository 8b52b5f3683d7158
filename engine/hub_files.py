"""Single files of data sets on the hub: at a commit, checked by sha256. Knows no particular data set; loads no model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.wheels import sha256_of


@dataclass(frozen=True)
class HubFile:
    """One file of a data set at a commit (40 hex digits), known by its own hash."""

    dataset: str
    revision: str
    path: str
    sha256: str
    licence: str

    def facts(self) -> dict[str, Any]:
        """Where the content comes from, for the record beside what is made of it."""
        return {
            "hub_dataset": self.dataset,
            "revision": self.revision,
            "member": self.path,
            "member_sha256": self.sha256,
            "licence": self.licence,
        }


def download(file: HubFile) -> Path:
    """The checked file, out of the hub's cache (HF_HOME) where it is there. Raises ValueError with the reason and the way out."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        found = hf_hub_download(file.dataset, file.path, repo_type="dataset", revision=file.revision)
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        why = " ".join(str(error.__cause__ or error).split())[:300]
        raise ValueError(
            f"{file.dataset}: the hub could not be reached or refused: {why}. Try again with a network, name a mirror in HF_ENDPOINT, "
            f"or set HF_HOME to a cache that has {file.path} of commit {file.revision}"
        ) from error
    if (sha256 := sha256_of(Path(found))) != file.sha256:
        raise ValueError(f"{file.dataset}: {file.path}: sha256 is {sha256}, expected {file.sha256}; delete {found}")
    return Path(found)
