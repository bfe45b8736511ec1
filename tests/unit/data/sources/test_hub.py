"""Data sets of the `datasets` library: saved folders offline, and a Hub that is not there."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.sources.hub import HubSource
from tunesmith.data.sources.hub_config import HubConfig

datasets = pytest.importorskip("datasets")


def saved(folder: Path, *parts: str, num_rows: int = 4) -> Path:
    datasets.disable_progress_bars()
    features = datasets.Features({
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["lost", "other"]),
        "tags": datasets.List(datasets.Value("string")),
    })  # fmt: skip
    labels = [number % 3 - 1 for number in range(num_rows)]
    columns = {"text": [f"t{n}" for n in range(num_rows)], "label": labels, "tags": [["a"]] * num_rows}
    one = datasets.Dataset.from_dict(columns, features=features)
    shutil.rmtree(folder, ignore_errors=True)
    (datasets.DatasetDict(dict.fromkeys(parts, one)) if parts else one).save_to_disk(str(folder))
    return folder


def source(**more: Any) -> HubSource:
    return HubSource(HubConfig(name="s", **{name: str(value) for name, value in more.items()}))


def rows(opened: HubSource) -> list[tuple[Any, ...]]:
    return [row for batch in opened.read() for row in zip(*batch.columns.values(), strict=True)]


def test_classes_stand_by_their_names_and_none_is_null(tmp_path: Path) -> None:
    opened = source(path=saved(tmp_path / "d"))
    assert opened.describe().format == "saved data set (all 4)"
    assert opened.describe().columns == ("text", "label", "tags")
    assert rows(opened) == [
        ("t0", None, '["a"]'), ("t1", "lost", '["a"]'), ("t2", "other", '["a"]'), ("t3", None, '["a"]')
    ]  # fmt: skip


def test_parts_are_named_in_a_column_or_chosen(tmp_path: Path) -> None:
    folder = saved(tmp_path / "d", "train", "test")
    every = source(path=folder)
    assert every.describe().columns == ("text", "label", "tags", "part")
    assert [row[3] for row in rows(every)] == ["train"] * 4 + ["test"] * 4
    one = source(path=folder, part="test")
    assert one.describe().columns == ("text", "label", "tags") and len(rows(one)) == 4
    with pytest.raises(DataError, match="no part `valid`") as caught:
        source(path=folder, part="valid").describe()
    assert caught.value.allowed == "train, test"


def test_the_fingerprint_follows_the_rows_alone(tmp_path: Path) -> None:
    first = source(path=saved(tmp_path / "d")).fingerprint()
    assert source(path=saved(tmp_path / "d")).fingerprint() == first
    assert source(path=saved(tmp_path / "d", num_rows=5)).fingerprint() != first


def test_a_folder_that_is_none_says_what_it_holds(tmp_path: Path) -> None:
    saved(tmp_path / "inside")
    (tmp_path / "rows.csv").write_text("text\na\n")
    with pytest.raises(DataError, match="no data set that `save_to_disk` made") as caught:
        source(path=tmp_path).fingerprint()
    assert "rows.csv" in str(caught.value.seen) and caught.value.next == f"path: {tmp_path / 'inside'}"
    with pytest.raises(DataError, match="no data set"):
        source(path=tmp_path / "nowhere").describe()


def test_a_damaged_folder_is_an_error(tmp_path: Path) -> None:
    folder = saved(tmp_path / "d", num_rows=3000)
    data = next(folder.glob("*.arrow"))
    data.write_bytes(data.read_bytes()[:2000])
    with pytest.raises(DataError, match="cannot be read"):
        rows(source(path=folder))
    data.unlink()
    with pytest.raises(DataError, match="no rows"):
        source(path=folder).describe()


def test_a_hub_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    class Offline:
        def dataset_info(self, *args: Any, **more: Any) -> Any:
            raise ConnectionError("no route to host\nwith much detail")

    monkeypatch.setattr(huggingface_hub, "HfApi", Offline)
    opened = source(id="owner/name")
    for look in (opened.fingerprint, opened.describe):
        with pytest.raises(DataError, match="`owner/name` cannot be had") as caught:
            look()
        assert caught.value.seen == "ConnectionError: no route to host" and "save_to_disk" in str(caught.value.next)


def test_a_published_data_set_is_read_at_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own loading is faked; what is asked of it is not."""
    import huggingface_hub

    asked: list[Any] = []
    folder = saved(tmp_path / "d", "train")

    class Api:
        def dataset_info(self, name: str, *, revision: str | None, timeout: float) -> Any:
            asked.append((name, revision))
            return type("Info", (), {"sha": "c" * 40})

    def load(id: str, **more: Any) -> Any:
        asked.append((id, more))
        return datasets.load_from_disk(str(folder))

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(rows(source(id="owner/name", revision="main"))) == 4
    assert asked == [("owner/name", "main"), ("owner/name", {"name": None, "revision": "c" * 40})]
    asked.clear()
    pinned = source(id="owner/name", revision="d" * 40)
    assert pinned.fingerprint() == source(id="owner/name", revision="d" * 40).fingerprint() and not asked


def test_without_the_extra_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **more: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *args, **more)

    opened = source(path=saved(tmp_path / "d"))
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DataError, match="needs the library `datasets`") as caught:
        opened.describe()
    assert "tunesmith[hub]" in str(caught.value.next)


@pytest.mark.parametrize("wrong", [{}, {"path": "a", "id": "b"}, {"path": "a", "revision": "main"}])
def test_the_place_is_named_once(wrong: dict[str, str]) -> None:
    with pytest.raises(RecipeError):
        HubConfig(name="s", **wrong)  # type: ignore[arg-type]
