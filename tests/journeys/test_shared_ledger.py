"""One PostgreSQL ledger and several runners: no step is done twice, whoever is killed.

The runners share a workspace whose file locks do not reach each other, as on a disk that two machines mount: only the
claims of the ledger hold them apart. ``TUNESMITH_KILLS`` raises the number of runners that are killed (3 here).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text
from tests.journeys.test_kill import outcome, write_recipe
from tests.postgres import PASSWORD, PostgresServer

from tunesmith.core.errors import Interrupted
from tunesmith.store.claims import claimed, lock_of
from tunesmith.store.ledger import Ledger

KILLS = int(os.environ.get("TUNESMITH_KILLS", "3"))
STAGES = Path(__file__).parents[1] / "unit" / "lifecycle"
RUNNER = """\
import contextlib, json, os, sys
sys.path.insert(0, {stages!r})
import stages
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.steps import From, StepSpec
from tunesmith.store.ledger import Ledger
from tunesmith.store.workspace import Workspace

Workspace.lock = lambda self, path, wait=True: contextlib.nullcontext()
Workspace.collect_orphans = lambda self: []  # another's unfinished file is no orphan where locks do not say so
log, names = sys.argv[2], sys.argv[3].split(",")
workspace = Workspace.open(sys.argv[1])
with stages.wired(), Ledger.open(os.environ["TUNESMITH_LEDGER"]) as ledger:
    specs = [
        StepSpec(name, "write", stages.WriteConfig(text=name, log=log, do="nap"), given)
        for name, given in zip(names, [{{}}, *({{one: From(one, "text")}} for one in names)])
    ]
    runner = Runner(workspace, ledger, seed=0, listener=lambda event: None)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(sorted(one["text"].digest for one in runner.run(specs).values())))
"""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return f"postgresql+psycopg://tester:{quote(PASSWORD, safe='')}@/postgres?host={postgres.folder}"


def runner(home: Path, url: str, names: list[str]) -> subprocess.Popen[str]:
    """A runner that stands ready to do the steps of these names, one after the other."""
    code, log = RUNNER.format(stages=str(STAGES)), str(home.parent / "runs.log")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(home), log, ",".join(names)],
        env={**os.environ, "TUNESMITH_LEDGER": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def done_of(home: Path) -> Counter[str]:
    """How often each step was begun."""
    return Counter(line.split()[0] for line in (home.parent / "runs.log").read_text().splitlines())


def test_four_runners_do_each_step_once(tmp_path: Path, url: str) -> None:
    home, names = tmp_path / "home", ["a", "b", "c", "d"]
    runners = [runner(home, url, names) for _ in range(4)]
    answers = [answer for answer, _ in _at_once(runners)]
    assert len(set(answers)) == 1 and len(json.loads(answers[0])) == 4
    assert done_of(home) == Counter(dict.fromkeys(names, 1))


def _at_once(runners: list[subprocess.Popen[str]]) -> list[tuple[str, str]]:
    for one in runners:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return [one.communicate(timeout=120) for one in runners]


@pytest.mark.timeout(60 + 20 * KILLS)
def test_a_killed_runner_leaves_its_step_to_the_next(tmp_path: Path, url: str) -> None:
    home, chance = tmp_path / "home", random.Random(0)
    names: list[str] = []
    for number in range(KILLS):
        names.append(f"step{number}")
        victim, waiting = runner(home, url, names), runner(home, url, names)
        for one in (victim, waiting):
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
            time.sleep(chance.uniform(0.02, 0.3))
        victim.send_signal(signal.SIGKILL)
        answer, _ = waiting.communicate(timeout=60)
        victim.communicate()
        assert len(json.loads(answer)) == len(names)
    # Killed while at work: done once more by the other. Killed before or after: once.
    counts = done_of(home)
    assert set(counts) == set(names) and max(counts.values()) <= 2
    again, _ = _at_once([runner(home, url, names)])[0]
    assert again == answer and done_of(home) == counts


def test_a_claim_waits_can_be_cancelled_and_falls_with_its_connection(url: str) -> None:
    with Ledger.open(url) as one, Ledger.open(url) as two:
        cancel, waits = threading.Event(), []
        with one.claim("k", lambda: False, lambda: None):
            with two.claim("other", lambda: False, lambda: waits.append("other")):
                pass
            threading.Timer(0.3, cancel.set).start()
            with pytest.raises(Interrupted), two.claim("k", cancel.is_set, lambda: waits.append("k")):
                raise AssertionError("two hold one step")
            with one.engine.connect() as connection:
                killed = connection.execute(
                    text(
                        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' "
                        "and ((classid::bigint << 32) | objid::bigint) = :lock"
                    ),
                    {"lock": lock_of("default", "k")},
                ).all()
            assert len(killed) == 1
            with claimed(two.engine, "default", "k"):
                pass
        assert waits == ["k"]
        with two.claim("k", lambda: False, lambda: waits.append("again")):
            assert waits == ["k"], "it was given back"


def test_a_whole_run_stands_in_the_server(tmp_path: Path, url: str) -> None:
    recipe = write_recipe(tmp_path)
    command = [sys.executable, "-m", "tunesmith.cli.main"]
    rest = ["--home", str(tmp_path / "home"), "--json", "--quiet"]
    environment = {**os.environ, "TUNESMITH_LEDGER": url, "OMP_NUM_THREADS": "1"}

    def call(*words: str) -> str:
        done = subprocess.run([*command, *words, *rest], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    short = ("--set", "train.epochs=1", "--set", "evaluate.baselines=[majority]")
    first = json.loads(call("run", str(recipe), *short))
    assert first["model"] == "kill@production"
    assert not (tmp_path / "home" / "ledger.db").exists()
    assert outcome(json.loads(call("run", str(recipe), *short))) == outcome(first)
    assert [one["name"] for one in json.loads(call("models"))] == ["kill"]
    answer = tmp_path / "answer.jsonl"
    call("predict", "kill@production", str(tmp_path / "rows.jsonl"), "--out", str(answer))
    assert len(answer.read_text().splitlines()) == 120
    assert PASSWORD not in "".join(path.read_text() for path in (tmp_path / "home").rglob("*.json*"))
