"""The figures we stand behind, trained on real data sets: slow, run by ``make journeys``.

Nothing here is tuned on a test split: settings are the product's defaults, chosen on validation rows (docs/log.md).
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tunesmith

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def test_banking77_full(shared_data: Path, tmp_path: Path) -> None:
    result = run(banking77(shared_data, "full"), tmp_path)
    assert accuracy(result) >= 0.93
    assert against(result, "tfidf")["low"] > 0
    assert result["rows"]["read"] == 13_083


def test_banking77_head(shared_data: Path, tmp_path: Path) -> None:
    result = run(banking77(shared_data, "head"), tmp_path)
    assert accuracy(result) >= 0.91


def test_sentfin_one_entity_titles(shared_data: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(shared_data / "sentfin" / "SEntFiN.csv")
    rows = []
    for title, decisions in frame.select("Title", "Decisions").iter_rows():
        try:
            entities = ast.literal_eval(decisions)
        except (SyntaxError, ValueError):
            continue  # 13 rows of the set are no Python literal
        if len(entities) == 1:
            rows.append({"text": title, "label": next(iter(entities.values()))})
    pl.DataFrame(rows).write_csv(tmp_path / "sentfin.csv")
    result = run(recipe("sentfin", "classify", [csv(tmp_path / "sentfin.csv", text="text", label="label")]), tmp_path)
    assert accuracy(result) >= 0.86
    assert against(result, "tfidf")["low"] > 0


def test_emobank_valence(shared_data: Path, tmp_path: Path) -> None:
    source = csv(shared_data / "emobank" / "emobank.csv", text="text", label="V", split="split")
    result = run(recipe("emobank", "regress", [source]), tmp_path)
    assert result["metrics"]["test"]["pearson"]["value"] >= 0.72
    ridge = result["baselines"]["base_ridge"]["pearson"]["value"]
    assert result["metrics"]["test"]["pearson"]["low"] > ridge


def test_bitext_with_ten_examples_an_intent(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "bitext_support_intents"
    parts = {name: next(folder.glob(f"*{name.capitalize()}*.csv")) for name in ("training", "validation", "testing")}
    train = pl.read_csv(parts["training"], infer_schema=False).sample(fraction=1, shuffle=True, seed=0)
    train.group_by("intent", maintain_order=True).head(10).write_csv(tmp_path / "train.csv")
    sources = [
        csv(path, text="utterance", label="intent") | {"split": split, "name": split}
        for split, path in (("train", tmp_path / "train.csv"), ("test", parts["testing"]))
    ]
    result = run(recipe("bitext", "classify", sources), tmp_path)
    assert against(result, "tfidf")["low"] > 0


def banking77(shared_data: Path, trainable: str) -> dict[str, Any]:
    """The official split; a tenth of its training rows chooses the checkpoint."""
    sources = [
        csv(shared_data / "banking77" / f"{split}.csv", text="text", label="category") | {"split": split, "name": split}
        for split in ("train", "test")
    ]
    return recipe("banking77", "classify", sources) | {"train": {"trainable": trainable}}


def csv(path: Path, **columns: str) -> dict[str, Any]:
    """A CSV source of a recipe."""
    return {"kind": "csv", "name": path.stem.lower(), "path": str(path), "columns": columns}


def recipe(name: str, task: str, sources: list[dict[str, Any]]) -> dict[str, Any]:
    """A recipe with every default."""
    return {"name": name, "task": task, "data": {"sources": sources}}


@pytest.fixture(autouse=True)
def every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real models are worth every core; the other tests make do with one."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def run(recipe: dict[str, Any], home: Path) -> dict[str, Any]:
    """What the run of a recipe ended with; its figures are printed for the record."""
    result = tunesmith.run(recipe, home=home / "home").to_dict()
    rows = result["rows"]
    assert rows["read"] == rows["kept"] + rows["removed"] + rows["quarantined"]
    test = {name: round(one["value"], 4) for name, one in result["metrics"]["test"].items()}
    print(f"\n{recipe['name']} {recipe.get('train', {})}: {result['verdict']}, {result['seconds']} s, test {test}")
    for name, metrics in result["baselines"].items():
        print(f"  {name}: { {metric: round(one['value'], 4) for metric, one in metrics.items()} }")
    for one in result["comparisons"]:
        shown = f"{one['difference']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]"
        print(f"  {one['metric']} against {one['against']}: {shown}, {one['verdict']}")
    return result


def accuracy(result: dict[str, Any]) -> float:
    """Accuracy on the test rows."""
    return float(result["metrics"]["test"]["accuracy"]["value"])


def against(result: dict[str, Any], baseline: str) -> dict[str, Any]:
    """The paired comparison with a baseline on the primary metric."""
    return next(one for one in result["comparisons"] if one["against"] == baseline)
