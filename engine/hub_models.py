"""Whether a hub model that is not here yet fits on the disk, asked before any of it is fetched. In the child; loads nothing."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from engine import disk

_LOADED = re.compile(r"(model(-\d+-of-\d+)?\.safetensors|[^/]+\.(json|txt|model|jinja))")
"""The files of a repository that are read: others, such as pickles or other frameworks' weights, are not fetched."""
_SECONDS = 10.0


@functools.cache
def check_room(name: str, revision: str) -> None:
    """Once a process. Raises NoDiskError. Where the hub does not answer nothing is said: loading has the better words for that."""
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    try:
        files = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=_SECONDS).siblings or []
    except Exception:  # whatever its client raises, which differs between the versions of our environments
        return
    wanted = [f for f in files if _LOADED.fullmatch(f.rfilename)]
    missing = sum(f.size or 0 for f in wanted if not isinstance(try_to_load_from_cache(name, f.rfilename, revision=revision), str))
    if missing:
        disk.require(missing, Path(constants.HF_HUB_CACHE), f"model: hub:{name}", "make room there, or let HF_HOME name a larger disk")
