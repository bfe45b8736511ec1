"""The stage that keeps rows that were made, or does not: what is shown decides, not what is seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.evaluation.evaluation_fakes import FakeContext, artifact, write_splits

from tunesmith.core.engine import Answer, Request
from tunesmith.core.errors import DataError
from tunesmith.evaluation.keep import Keep
from tunesmith.evaluation.keep_config import KeepConfig

ROWS = [(f"{label} {at}", label) for at in range(100) for label in ("card", "loan")]


class Engine:
    """Errs on every n-th text, n being what its model's folder says; 0: never."""

    labels = ("card", "loan")

    def __init__(self, model: Path, base: Path) -> None:
        self.every = int((model / "errs").read_text())

    def submit(self, request: Request) -> Iterator[Answer]:
        for at, text in enumerate(request.texts):
            is_card = text.startswith("card") != (self.every > 0 and at % self.every == 0)
            yield Answer(at, (0.9, 0.1) if is_card else (0.1, 0.9), 2, 0)

    def close(self) -> None:
        pass


def _keep(folder: Path, plain: int, augmented: int, rows: list[tuple[str, str]] = ROWS) -> tuple[Any, Path]:
    given: dict[str, Any] = {"base": artifact("base", folder), "splits": write_splits(folder / "s", validation=rows)}
    given["splits"] = artifact("splits", folder / "s", {"augmented": {"rows": 7, "of": 9, "methods": []}})
    for name, every in (("plain", plain), ("augmented", augmented)):
        for kind in (name, f"{name}_history"):
            (folder / kind).mkdir()
            (folder / kind / "errs").write_text(str(every))
            given[kind] = artifact("model", folder / kind, {"is": kind})
    out = folder / "out"
    made = Keep(KeepConfig(task="classify"), Engine).run(given, FakeContext(out))  # type: ignore[arg-type]
    return made, out


def test_a_gain_beyond_noise_is_kept(tmp_path: Path) -> None:
    made, out = _keep(tmp_path, plain=5, augmented=0)
    assert made["augmentation"]["is_kept"] and made["augmentation"]["comparison"]["verdict"] == "better"
    assert made["model"] == {"is": "augmented"} and made["history"] == {"is": "augmented_history"}
    assert (out / "model" / "errs").read_text() == "0" == (out / "history" / "errs").read_text()


def test_a_gain_within_noise_is_not(tmp_path: Path) -> None:
    # 200 rows, 2 errors against 0: better as measured, and that is all.
    made, out = _keep(tmp_path, plain=100, augmented=0)
    facts = made["augmentation"]
    assert facts["values"]["augmented"] > facts["values"]["plain"]
    assert not facts["is_kept"] and facts["why"] == "not shown"
    assert made["model"] == {"is": "plain"} and (out / "model" / "errs").read_text() == "100"


def test_a_loss_is_not_kept(tmp_path: Path) -> None:
    made, _ = _keep(tmp_path, plain=0, augmented=4)
    assert made["augmentation"]["why"] == "worse" and made["model"] == {"is": "plain"}


def test_without_validation_rows_nothing_is_decided(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no validation row"):
        _keep(tmp_path, 0, 0, rows=[])
