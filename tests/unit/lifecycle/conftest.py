"""A workspace with its ledger, and a way to run steps in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tunesmith.lifecycle.runner import Outputs, Runner
from tunesmith.lifecycle.steps import From, StepSpec
from tunesmith.store.ledger import Ledger
from tunesmith.store.workspace import Workspace

sys.path.insert(0, str(Path(__file__).parent))  # children of the runner import the stages by name as well

import stages


@dataclass
class House:
    """A workspace to run steps in."""

    root: Path
    project: str = "default"
    seed: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    is_cancelled: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.workspace = Workspace.open(self.root, self.project)
        self.log = self.root / "runs.log"

    def spec(
        self, name: str, *given: str, kind: str = "write", text: str = "", do: str = "", mark: str = ""
    ) -> StepSpec:
        """A step that writes ``text`` (its name) and what the steps ``given`` wrote; ``mark`` is its fingerprint."""
        config = stages.WriteConfig(text=text or name, log=str(self.log), do=do)
        return StepSpec(name, kind, config, {one: From(one, "text") for one in given}, mark)

    def run(self, *specs: StepSpec) -> dict[str, Outputs]:
        """Run the steps with a new runner."""
        with Ledger.open(self.workspace.ledger_url, self.project) as ledger:
            runner = Runner(
                self.workspace, ledger, seed=self.seed, listener=self.events.append, is_cancelled=self.is_cancelled
            )
            return runner.run(specs)

    def ran(self) -> list[str]:
        """What was carried out since the last call, by text."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line.rsplit(" ", 1)[0].strip() for line in lines]

    def statuses(self) -> dict[str, str]:
        """The last status of each step."""
        return {one["step"]: one["status"] for one in self.events if one["event"] == "step"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with stages.wired():
        yield House(tmp_path / "home")
