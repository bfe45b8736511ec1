"""Steps saved and found again: bytes first, then one record; what is gone is made again, what is damaged is said."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import StoreError
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.ledger import Ledger
from tunesmith.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ArtifactStore]:
    workspace = Workspace.open(tmp_path / "ws")
    with Ledger.open(workspace.ledger_url) as ledger:
        yield ArtifactStore(workspace, ledger)


def made_by(key: str) -> MadeBy:
    return MadeBy(key, "prepare", 3, {"polars": "2.1"}, {"cpus": 2}, {"wall_s": 0.5})


def save(store: ArtifactStore, key: str, *parents: str, texts: dict[str, str], **more: Any) -> dict[str, Artifact]:
    out = store.workspace.step_folder(key) / "out"
    for name, text in texts.items():
        (out / name / "sub").mkdir(parents=True)
        (out / name / "sub" / "rows.txt").write_text(text)
    outputs = {name: ("dataset", {"rows": len(text)}) for name, text in texts.items()}
    return store.save_step(key, f"c-{key}", "prepare", out, outputs, made_by(key), parents, **more)


def reopened(store: ArtifactStore) -> ArtifactStore:
    """The store as another process sees it."""
    workspace = Workspace.open(store.workspace.root)
    return ArtifactStore(workspace, store.ledger)


def test_a_saved_step_is_found_with_its_bytes(store: ArtifactStore) -> None:
    one = save(store, "k1", texts={"splits": "rows", "quality": "facts"}, run_id="run-1", name="prepare")
    assert list((store.workspace.step_folder("k1") / "out").iterdir()) == []
    two = save(store, "k2", one["splits"].digest, one["quality"].digest, texts={"model": "weights"})
    assert (two["model"].path / "sub" / "rows.txt").read_text() == "weights"
    assert two["model"].kind == "dataset"
    assert two["model"].facts == {"rows": 7}
    assert two["model"].made_by == made_by("k2")
    assert two["model"].parents == (one["splits"].digest, one["quality"].digest)
    other = reopened(store)
    assert other.find("k1") == one
    assert other.find("k2") == two
    assert other.load(two["model"].digest) == two["model"]
    assert other.knows("k2")
    assert other.find("k3") is None
    assert not other.knows("k3")


def test_a_step_that_made_nothing_is_known(store: ArtifactStore) -> None:
    assert save(store, "k1", texts={}) == {}
    assert store.find("k1") == {}


@pytest.mark.parametrize("written", [["splits"], ["splits", "quality", "more"], []])
def test_outputs_must_be_what_was_reported(store: ArtifactStore, tmp_path: Path, written: list[str]) -> None:
    out = tmp_path / "out"
    for name in written:
        (out / name).mkdir(parents=True)
    outputs: dict[str, tuple[str, dict[str, Any]]] = {"splits": ("splits", {}), "quality": ("quality", {})}
    with pytest.raises(StoreError, match="did not write the outputs"):
        store.save_step("k1", "c", "prepare", out, outputs, made_by("k1"), ())
    assert store.find("k1") is None
    assert [path for path in store.blobs.folder.iterdir() if path.name != ".lock"] == []
    assert all((out / name).is_dir() for name in written)


def test_missing_bytes_are_made_again_even_if_they_differ(store: ArtifactStore) -> None:
    first = save(store, "k1", texts={"splits": "first"})["splits"]
    shutil.rmtree(first.path.parent)
    assert store.find("k1") is None
    assert not store.knows("k1")
    with pytest.raises(StoreError, match="is missing"):
        store.load(first.digest)
    again = save(store, "k1", texts={"splits": "second"})["splits"]
    assert again.digest != first.digest
    assert reopened(store).find("k1") == {"splits": again}


def test_damaged_bytes_are_an_error_with_a_way_out_that_works(store: ArtifactStore) -> None:
    made = save(store, "k1", texts={"splits": "whole"})["splits"]
    path = made.path / "sub" / "rows.txt"
    path.chmod(0o600)
    path.write_text("whale")
    other = reopened(store)
    for call in (lambda: other.find("k1"), lambda: other.load(made.digest)):
        with pytest.raises(StoreError, match=r"rows\.txt") as caught:
            call()
    folder = str(caught.value.next).split("delete the folder ")[1].split(" and run")[0]
    shutil.rmtree(folder)
    assert other.find("k1") is None
    assert save(other, "k1", texts={"splits": "whole"}) == {"splits": made}
    assert reopened(store).find("k1") == {"splits": made}


def test_the_first_of_two_writers_wins(store: ArtifactStore) -> None:
    first = save(store, "k1", texts={"splits": "first"})
    assert save(reopened(store), "k1", texts={"splits": "second"}) == first
    assert store.find("k1") == first


def test_an_equal_payload_of_another_step_keeps_its_facts(store: ArtifactStore) -> None:
    one = save(store, "k1", texts={"a": "same"})
    out = store.workspace.step_folder("k2") / "out"
    (out / "a" / "sub").mkdir(parents=True)
    (out / "a" / "sub" / "rows.txt").write_text("same")
    two = store.save_step("k2", "c2", "prepare", out, {"a": ("dataset", {"other": 1})}, made_by("k2"), ())
    assert two["a"].digest == one["a"].digest
    assert two["a"].facts == {"other": 1}
    assert store.find("k1") == one


def test_projects_are_not_mixed(store: ArtifactStore) -> None:
    made = save(store, "k1", texts={"a": "secret"})["a"]
    workspace = Workspace.open(store.workspace.root, project="other")
    with pytest.raises(StoreError, match="two projects"):
        ArtifactStore(workspace, store.ledger)
    with Ledger.open(workspace.ledger_url, "other") as ledger:
        other = ArtifactStore(workspace, ledger)
        assert other.find("k1") is None
        with pytest.raises(StoreError, match="no such artifact"):
            other.load(made.digest)
        twin = save(other, "k1", texts={"a": "secret"})["a"]
        assert twin.digest == made.digest
        assert twin.path != made.path
