"""The runner: what is known is not run again, what failed leaves nothing, and children end as they should."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import Interrupted, RecipeError, StepError
from tunesmith.lifecycle.runner import Outputs, Runner
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.ledger import Ledger

House = Any


def text(outputs: Outputs) -> str:
    return (outputs["text"].path / "text.txt").read_text()


def chain(house: House, **changes: dict[str, str]) -> list[Any]:
    """a → b → c, and d beside them."""
    given = {"a": [], "b": ["a"], "c": ["b"], "d": []}
    return [house.spec(name, *inputs, **changes.get(name, {})) for name, inputs in given.items()]


def test_a_known_step_is_not_run_again(house: House) -> None:
    first = house.run(*chain(house))
    assert house.ran() == ["a", "b", "c", "d"]
    assert text(first["c"]) == "cba"
    again = house.run(*chain(house))
    assert house.ran() == []
    assert again == first
    assert set(house.statuses().values()) == {"cached"}


def test_a_changed_config_runs_only_what_depends_on_it(house: House) -> None:
    house.run(*chain(house))
    house.ran()
    changed = house.run(*chain(house, b={"text": "B"}))
    assert house.ran() == ["B", "c"]
    assert text(changed["c"]) == "cBa"


def test_equal_bytes_upstream_stop_the_runs_below(house: House) -> None:
    """The source has changed and the step that reads it is run; what it makes has not, so nothing else is."""
    first = house.run(*chain(house))
    house.ran()
    second = house.run(*chain(house, a={"mark": "another fingerprint"}))
    assert house.ran() == ["a"]
    assert second["c"] == first["c"]
    assert house.statuses() == {"a": "done", "b": "cached", "c": "cached", "d": "cached"}
    house.run(*chain(house, a={"text": " a"}))  # another config, the same bytes
    assert house.ran() == ["a"]
    third = house.run(*chain(house, a={"mark": "another fingerprint"}))
    assert house.ran() == [] and third == second


def test_the_seed_is_part_of_the_key(house: House) -> None:
    house.run(house.spec("a"))
    house.ran()
    house.seed = 1
    house.run(house.spec("a"))
    assert house.ran() == ["a"]


def test_what_a_step_is_known_to_be_before_it_runs(house: House) -> None:
    specs = chain(house)
    with Ledger.open(house.workspace.ledger_url) as ledger:
        runner = Runner(house.workspace, ledger, seed=0, listener=house.events.append)
        runner.keys |= runner.keys_of(specs)
        assert [runner.status_of(spec) for spec in specs] == ["to run", "unknown", "unknown", "to run"]
        runner.run(specs[:1])
        assert [runner.status_of(spec) for spec in specs] == ["cached", "to run", "unknown", "to run"]


@pytest.mark.parametrize("kind", ["write", "write_heavy"])
def test_a_failed_step_leaves_nothing_and_is_run_again(kind: str, house: House) -> None:
    bad = house.spec("b", "a", kind=kind, do="fail")
    with pytest.raises((StepError, ValueError), match="a fault in the stage"):
        house.run(house.spec("a"), bad, house.spec("c", "b"))
    assert house.ran() == ["a", "b"]
    assert house.statuses() == {"a": "done", "b": "failed"}
    with Ledger.open(house.workspace.ledger_url) as ledger:
        runner = Runner(house.workspace, ledger, seed=0, listener=house.events.append)
        keys = runner.keys_of([house.spec("a"), bad])
        store = ArtifactStore(house.workspace, ledger)
        assert store.find(keys["a"]) is not None and store.find(keys["b"]) is None
    assert len(list((house.workspace.folder / "blobs" / "sha256").rglob("text.txt"))) == 1
    good = house.run(house.spec("a"), house.spec("b", "a", kind=kind), house.spec("c", "b"))
    assert house.ran() == ["b", "c"]
    assert text(good["c"]) == "cba"


def test_a_stage_that_makes_nothing_is_named(house: House) -> None:
    with pytest.raises(StepError, match="did not make what it promises") as caught:
        house.run(house.spec("a", do="forget"))
    assert caught.value.seen == "text"


def test_an_unknown_kind_is_named(house: House) -> None:
    with pytest.raises(RecipeError, match="no stage of kind `wrte`") as caught:
        house.run(house.spec("a", kind="wrte"))
    assert "write" in str(caught.value.next)


def test_a_heavy_step_runs_in_a_process_of_its_own(house: House) -> None:
    made = house.run(house.spec("a", kind="write_heavy"))
    assert text(made["a"]) == "a"
    assert int(house.log.read_text().split()[1]) != os.getpid()
    cost = made["a"]["text"].made_by.cost
    assert cost["wall_s"] >= 0 and cost["peak_bytes"] > 1e6


def test_a_step_asks_for_a_step(house: House) -> None:
    made = house.run(house.spec("outer", do="nest"))
    assert (made["outer"]["text"].path / "inner.txt").read_text() == "inner"
    assert house.ran() == ["outer", "inner"]
    house.run(house.spec("outer", do="nest", text="other"))
    assert house.ran() == ["other"], "the inner step is known by its config and inputs"
    with pytest.raises(StepError, match="cannot start further steps"):
        house.run(house.spec("heavy", kind="write_heavy", do="nest"))


def test_a_killed_child_is_an_error_with_the_end_of_its_log(house: House) -> None:
    with pytest.raises(StepError, match="was killed") as caught:
        house.run(house.spec("a", kind="write_heavy", do="die"))
    assert "last words" in str(caught.value.seen)
    assert "microbatch_tokens" in str(caught.value.next)
    with pytest.raises(StepError, match="died with exit code 7") as caught:
        house.run(house.spec("b", kind="write_heavy", do="exit"))
    assert "exit words" in str(caught.value.seen)


def test_a_faulty_child_tells_where(house: House) -> None:
    with pytest.raises(StepError, match="ValueError: a fault in the stage") as caught:
        house.run(house.spec("a", kind="write_heavy", do="fail"))
    assert "stages.py" in str(caught.value.seen) and "in _fail" in str(caught.value.seen)
    log = Path(str(caught.value.next).removeprefix("the whole trace is in "))
    assert "Traceback" in log.read_text()


def test_a_cancelled_child_is_interrupted(house: House) -> None:
    house.is_cancelled = lambda: any(one["event"] == "progress" for one in house.events)
    with pytest.raises(Interrupted):
        house.run(house.spec("a", kind="write_heavy", do="wait"))
    assert house.statuses() == {"a": "interrupted"}


def test_sigterm_interrupts_a_child(house: House) -> None:
    """As a shutdown of the machine does, which reaches every process."""

    def terminate() -> None:
        while not house.log.exists() or not house.log.read_text().endswith("\n"):
            time.sleep(0.02)
        os.kill(int(house.log.read_text().split()[1]), signal.SIGTERM)

    threading.Thread(target=terminate, daemon=True).start()
    with pytest.raises(Interrupted):
        house.run(house.spec("a", kind="write_heavy", do="wait"))


def test_a_cancelled_runner_starts_no_further_step(house: House) -> None:
    house.is_cancelled = lambda: any(one.get("status") == "done" for one in house.events)
    with pytest.raises(Interrupted, match="before the step `b`"):
        house.run(house.spec("a"), house.spec("b"))
    assert house.ran() == ["a"]


def test_another_interpreter_must_be_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNESMITH_TEST_PYTHON", raising=False)
    with pytest.raises(StepError, match="another Python") as caught:
        house.run(house.spec("a", kind="write_elsewhere"))
    assert "TUNESMITH_TEST_PYTHON" in str(caught.value.next)


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import conftest, stages
with stages.wired():
    house = conftest.House(Path({root!r}))
    print("ready", flush=True)
    sys.stdin.readline()
    house.run(house.spec("a", kind={kind!r}, do={do!r}))
"""


def process(house: House, kind: str, do: str) -> subprocess.Popen[str]:
    """A runner in a process of its own, which waits for a line before it starts."""
    code = RUN.format(here=str(Path(__file__).parent), root=str(house.root), kind=kind, do=do)
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_runners_run_a_step_once(house: House) -> None:
    both = [process(house, "write", "nap") for _ in range(2)]
    for one in both:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.wait(timeout=60) for one in both] == [0, 0]
    assert house.ran() == ["a"]
    assert text(house.run(house.spec("a", do="nap"))["a"]) == "a"
    assert house.ran() == []


def test_a_child_ends_with_its_parent(house: House) -> None:
    """kill -9 of the runner: nobody is left to take the result, so the child ends within 5 seconds."""
    runner = process(house, "write_heavy", "wait")
    assert runner.stdout is not None and runner.stdin is not None
    assert runner.stdout.readline() == "ready\n"
    runner.stdin.write("go\n")
    runner.stdin.flush()
    while not house.log.exists() or not house.log.read_text().endswith("\n"):
        time.sleep(0.02)
    child = int(house.log.read_text().split()[1])
    assert Path(f"/proc/{child}").exists()
    runner.kill()
    runner.wait()
    end = time.monotonic() + 5.0
    while _is_alive(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _is_alive(child)
    house.ran()
    assert text(house.run(house.spec("a", kind="write_heavy"))["a"]) == "a"


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_events_of_a_child_reach_the_listener_with_the_steps_name(house: House) -> None:
    house.is_cancelled = lambda: any(one["event"] == "progress" for one in house.events)
    with pytest.raises(Interrupted):
        house.run(house.spec("slow", kind="write_heavy", do="wait"))
    progress = [one for one in house.events if one["event"] == "progress"]
    assert progress and all(one["step"] == "slow" and one["unit"] == "naps" for one in progress)
    assert json.dumps(house.events)
