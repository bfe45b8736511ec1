"""A writer killed at any moment: nothing corrupt, nothing acknowledged lost, nothing half visible, orphans collected.

``TUNESMITH_KILLS`` raises the number of kills (60 here; 3,000 bound a fault's rate at 0.1 %, 95 % confidence).
The file is its own helper: run as a script it imports once and forks the writers it kills, for starting a Python takes
longer than a round.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core import digests
from tunesmith.core.artifact import MadeBy
from tunesmith.core.errors import StoreError
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.blobs import Blobs
from tunesmith.store.files import TEMP_PREFIX
from tunesmith.store.ledger import Ledger
from tunesmith.store.workspace import Workspace

NUM_KILLS = int(os.environ.get("TUNESMITH_KILLS", "60"))
ROUNDS_PER_WORKSPACE = 10
LONGEST_DELAY_S = 0.05
LEAST_CUT = 1 / 20
"""Of the kills: as many have to strike a write. A kill that strikes none is followed by another, up to `MOST` times."""
MOST = 4
STORE_ERROR = 3
"""The exit code of a writer that ends with one."""


def save(store: ArtifactStore, key: str, parents: tuple[str, ...], size_bytes: int) -> str:
    """One step of a writer: its files, its record, its version; the digest of what it made."""
    out = store.workspace.step_folder(key) / "out"
    (out / "data").mkdir(exist_ok=True)
    rng = random.Random(key)
    for name in ("a.bin", "b.bin", "sub/c.bin"):
        (out / "data" / name).parent.mkdir(exist_ok=True)
        (out / "data" / name).write_bytes(rng.randbytes(size_bytes))
    outputs = {"data": ("dataset", {"key": key})}
    made = store.save_step(key, f"c-{key}", "ingest", out, outputs, MadeBy(key, "ingest", 0), parents)
    return made["data"].digest


def write_for_ever(root: Path, round_: int, acknowledge: int) -> None:
    """Open the store, and save one step after another; every commit is acknowledged on the pipe."""

    def say(**what: Any) -> None:
        os.write(acknowledge, json.dumps(what).encode() + b"\n")

    workspace = Workspace.open(root)
    say(subject_key=workspace.subject_key().hex())
    with Ledger.open(workspace.ledger_url) as ledger:
        store = ArtifactStore(workspace, ledger)
        run_id = f"run-{round_}"
        ledger.start_run(run_id, "kill", "classify", "ab" * 32)
        parents: tuple[str, ...] = ()
        for number in range(10_000):
            key = f"k-{round_}-{number}"
            digest = save(store, key, parents, size_bytes=30_000)
            say(key=key, digest=digest)
            say(version=ledger.register_version("model", digest, run_id, None), digest=digest)
            parents = (digest,)


def kill_one(root: Path, round_: int, num_awaited: int, delay_s: float) -> list[dict[str, Any]]:
    """What a writer acknowledged before it was killed: a while after so many words of it.

    Words, not seconds alone: on a busy machine a writer may not even have begun.
    """
    inlet, outlet = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(inlet)
        try:
            write_for_ever(root, round_, outlet)
        finally:
            os._exit(1)
    os.close(outlet)
    with os.fdopen(inlet, "rb") as stream:
        said = [stream.readline() for _ in range(num_awaited)]
        time.sleep(delay_s)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the writer ended by itself"
        said += stream.readlines()
    return [json.loads(line) for line in said if line.endswith(b"\n")]


def orphans(root: Path) -> list[Path]:
    return list(root.rglob(f"{TEMP_PREFIX}*"))


def check(root: Path, acknowledged: list[dict[str, Any]], known: set[str]) -> float:
    """Open the store as the next process does and hold it against what was promised; the seconds that opening took."""
    began = time.monotonic()
    workspace = Workspace.open(root)
    ledger = Ledger.open(workspace.ledger_url)
    recovery_s = time.monotonic() - began
    assert orphans(root) == []
    with ledger:
        store = ArtifactStore(workspace, ledger)
        versions = {one.version: one.digest for one in ledger.models()}
        assert sorted(versions) == list(range(1, len(versions) + 1))
        for one in acknowledged:
            if "subject_key" in one:
                assert workspace.subject_key().hex() == one["subject_key"], "the subject key changed"
            elif "version" in one:
                assert versions[one["version"]] == one["digest"], "an acknowledged version is lost"
            else:
                found = store.find(one["key"])
                assert found is not None and found["data"].digest == one["digest"], "an acknowledged step is lost"
        # Whatever a reader can see is whole, acknowledged or not.
        for path in workspace.blobs.folder.iterdir():
            if path.name != ".lock" and path.name not in known:
                workspace.blobs.verify(path.name)
                known.add(path.name)
        assert set(versions.values()) <= known
        for run in ledger.runs():
            assert run.status == "running"
    with sqlite3.connect(root / "ledger.db") as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("pragma foreign_key_check").fetchall() == []
        recorded = {digest for (digest,) in connection.execute("select digest from step_outputs")}
        connection.execute("pragma wal_checkpoint")
    assert recorded <= known, "a record without its bytes"
    return recovery_s


def kill_many(folder: Path, num_kills: int, seed: int) -> dict[str, Any]:
    """Kill writers at random moments of their lives, and count what was seen."""
    rng = random.Random(seed)
    counts = {"kills": 0, "acknowledged": 0, "orphans": 0, "kills_with_orphans": 0}
    slowest_s = 0.0
    for round_ in range(MOST * num_kills):
        if round_ >= num_kills and counts["kills_with_orphans"] > num_kills * LEAST_CUT:
            break
        root = folder / f"ws-{round_ // ROUNDS_PER_WORKSPACE}"
        if round_ % ROUNDS_PER_WORKSPACE == 0:
            everything: list[dict[str, Any]] = []
            known: set[str] = set()
        said = kill_one(root, round_, rng.randrange(6), rng.uniform(0, LONGEST_DELAY_S))
        left = orphans(root)
        counts["kills"] += 1
        counts["acknowledged"] += sum("key" in one for one in said)
        counts["orphans"] += len(left)
        counts["kills_with_orphans"] += bool(left)
        slowest_s = max(slowest_s, check(root, said, known))
        everything += said
        if round_ % ROUNDS_PER_WORKSPACE == ROUNDS_PER_WORKSPACE - 1:
            check(root, everything, set())  # also what was promised long ago, hashed afresh
    return {**counts, "slowest_recovery_s": round(slowest_s, 3)}


@pytest.mark.timeout(120 + 4 * NUM_KILLS)
def test_kills_at_random_moments(tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path), str(NUM_KILLS), "20261121"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 4 * NUM_KILLS)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kills"] >= NUM_KILLS
    # Proof that the kills struck work: some steps were done, and some were cut.
    assert seen["acknowledged"] > NUM_KILLS / 2
    assert seen["kills_with_orphans"] > NUM_KILLS * LEAST_CUT
    assert seen["slowest_recovery_s"] < 5


def test_a_naive_writer_is_caught(tmp_path: Path) -> None:
    """The checks see the fault they look for: a payload written where readers look, cut short."""
    workspace = Workspace.open(tmp_path)
    with Ledger.open(workspace.ledger_url) as ledger:
        digest = save(ArtifactStore(workspace, ledger), "k", (), size_bytes=1000)
    check(tmp_path, [{"key": "k", "digest": digest}], set())
    path = workspace.blobs.path(digest) / "b.bin"
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-1])
    with pytest.raises(StoreError, match=r"b\.bin"):
        check(tmp_path, [], set())
    path.write_bytes(whole)
    with pytest.raises(AssertionError, match="lost"):
        check(tmp_path, [{"key": "k2", "digest": digest}], set())


@pytest.mark.parametrize("limit_kb", [4, 60, 100, 160])
def test_a_disk_that_fills_up_under_the_ledger(tmp_path: Path, limit_kb: int) -> None:
    """No file may grow beyond a limit: the writer ends with a clear error, and everything from before is there."""
    workspace = Workspace.open(tmp_path)
    with Ledger.open(workspace.ledger_url) as ledger:
        old = save(ArtifactStore(workspace, ledger), "old", (), size_bytes=1000)
    inlet, outlet = os.pipe()
    command = [sys.executable, __file__, "fill", str(tmp_path), str(limit_kb * 1024), str(outlet)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, pass_fds=[outlet])
    os.close(outlet)
    with os.fdopen(inlet) as stream:
        acknowledged = [json.loads(line) for line in stream]
    assert done.returncode == STORE_ERROR, done.stderr
    assert "next:" in done.stdout
    check(tmp_path, [{"key": "old", "digest": old}, *acknowledged], set())
    with Ledger.open(workspace.ledger_url) as ledger:  # space has come back
        save(ArtifactStore(workspace, ledger), "new", (old,), size_bytes=1000)
        assert ledger.ancestors(ledger.find_step("new")["data"].digest) == [old]  # type: ignore[index]


def fill(root: Path, limit_bytes: int, acknowledge: int) -> int:
    """Save steps with ever more facts until a file reaches the limit."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    try:
        workspace = Workspace.open(root)
        with Ledger.open(workspace.ledger_url) as ledger:
            store = ArtifactStore(workspace, ledger)
            for number in range(2000):
                digest = save(store, f"fill-{number}", (), size_bytes=3000)
                os.write(acknowledge, json.dumps({"key": f"fill-{number}", "digest": digest}).encode() + b"\n")
    except StoreError as error:
        print(error)
        return STORE_ERROR
    except OSError as error:  # the writer's own plain file, before the store had it
        print("the writer failed before the store:", error)
        return 4
    return 0


def test_a_killed_writer_does_not_hold_up_the_next(tmp_path: Path) -> None:
    """The digest of what a killed writer was about to save can be saved at once by another."""
    blobs = Blobs(Workspace.open(tmp_path).blobs.folder)
    source = tmp_path / "out"
    source.mkdir()
    (source / "a").write_text("alpha")
    expected = digests.of_manifest(digests.of_folder(source))
    child = os.fork()
    if child == 0:
        # Dies holding the store's lock and a staged payload.
        os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        try:
            blobs.put(source)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert not blobs.has(expected)
    assert len(orphans(tmp_path)) == 1
    workspace = Workspace.open(tmp_path)
    assert orphans(tmp_path) == []
    assert workspace.blobs.put(source)[0] == expected
    workspace.blobs.verify(expected)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        sys.exit(fill(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
    import alembic.command  # noqa: F401 (once here, not in every child)

    print(json.dumps(kill_many(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
