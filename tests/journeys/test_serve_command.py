"""``tunesmith serve`` with a trained model: keys, answers as in Python, moved aliases, a ledger that goes and comes."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests import tiny
from tests.serving import ROOT, started

from tunesmith.cli.main import main
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.lifecycle.model import open_head
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.store import access
from tunesmith.store.artifacts import ArtifactStore

TEXTS = [*tiny.sentences(12)[0], "", "the " * 60]


def trained(session: Session, folder: Path, name: str, **changes: object) -> Artifact:
    """A tiny trained model as an artifact of the session's store."""
    given = {"base": tiny.base(), "splits": tiny.labelled(folder / "splits")}
    context = tiny.FakeContext(folder / name)
    made = tiny.train(tiny.train_config(epochs=1, **changes), given, context)
    outputs = {"model": ("model", dict(made.facts)), "history": ("history", {})}
    store = ArtifactStore(session.workspace, session.ledger)
    return store.save_step(name, f"content-{name}", "train", context.out, outputs, MadeBy(name, "train", 0), ())[
        "model"
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with ``desk``, versions 1 (production) and 2."""
    folder = tmp_path_factory.mktemp("serve")
    with open_session(folder / "home") as session:
        for number, changes in ((1, {}), (2, {"batch": 12})):
            model = trained(session, folder, f"step{number}", **changes)
            assert session.ledger.register_version("desk", model.digest, None, "better") == number
        session.ledger.set_alias("desk", "production", 1)
    return folder / "home"


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "tunesmith.cli.main", "serve", *words, "--home", str(home), "--json"]


def wait_for(is_so: Callable[[], bool], within_s: float) -> float:
    """The seconds until it was so."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < within_s
        time.sleep(0.02)
    return time.monotonic() - begun


def owner(home: Path) -> dict[str, str]:
    key = (home / "projects/default/owner.key").read_text(encoding="utf-8").strip()
    return {"Authorization": f"Bearer {key}"}


def test_the_first_serve_makes_a_key_and_http_answers_as_python_does(home: Path, tmp_path: Path) -> None:
    with started(command(home, "desk@production", "--port", "0"), tmp_path) as running:
        file = home / "projects/default/owner.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        client = httpx.Client(base_url=running.url, headers=owner(home))
        assert httpx.get(f"{running.url}/readyz").status_code == 200
        assert httpx.post(f"{running.url}/v1/predict", json={"texts": "x"}).status_code == 401
        wrong = {"Authorization": owner(home)["Authorization"][:-1] + "_"}
        assert httpx.post(f"{running.url}/v1/predict", json={"texts": "x"}, headers=wrong).status_code == 401

        told = client.post("/v1/predict", json={"texts": TEXTS}).json()
        assert told["model"] == "desk@1"
        with open_session(home) as session:
            model = open_head(session, "desk@1")
            expected = model.predict(TEXTS)
            model.close()
        for one, other in zip(told["predictions"], expected, strict=True):
            assert one["label"] == other.label
            assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-6)
            assert one["num_truncated_tokens"] == other.num_truncated_tokens
        id = told["predictions"][0]["id"]
        assert client.post("/v1/feedback", json={"id": id, "label": "card"}).json() == {"id": id, "kept": True}
        assert client.post("/v1/feedback", json={"id": "nobody", "label": "card"}).status_code == 404
        strange = client.post("/v1/feedback", json={"id": id, "label": "cart"})
        assert strange.status_code == 422 and "`card`" in strange.json()["error"]["next"]
        words = client.post("/v1/predict", json={"texts": TEXTS[0], "attribution": True}).json()["predictions"][0]
        assert words["label"] == told["predictions"][0]["label"] and words["attribution"]["text"] == TEXTS[0]
        assert client.get("/metrics").status_code == client.get("/docs").status_code == 200
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    with started(command(home, "desk@production", "--port", "0"), tmp_path) as running:
        assert httpx.get(f"{running.url}/v1/models", headers=owner(home)).status_code == 200, "the key still counts"
        again = httpx.post(f"{running.url}/v1/predict", json={"texts": TEXTS}, headers=owner(home)).json()
        assert [one["label"] for one in again["predictions"]] == [one.label for one in expected], "killed, and back"
        assert running.stop(signal.SIGINT) == 0
    said = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert owner(home)["Authorization"].split()[1] not in said


def moved(home: Path, version: int) -> None:
    with open_session(home) as session:
        session.ledger.set_alias("desk", "production", version)


def test_an_alias_is_followed_and_a_ledger_that_is_away_turns_readiness_red(home: Path, tmp_path: Path) -> None:
    moved(home, 1)
    with started(command(home, "desk@production", "desk@2", "--port", "0"), tmp_path) as running:
        client = httpx.Client(base_url=running.url, headers=owner(home))

        def version() -> str:
            return str(client.post("/v1/predict", json={"texts": "x", "model": "desk@production"}).json()["model"])

        assert version() == "desk@1"
        moved(home, 2)
        wait_for(lambda: version() == "desk@2", 20)
        moved(home, 1)
        wait_for(lambda: version() == "desk@1", 20)
        unknown = client.post("/v1/predict", json={"texts": "x", "model": "desk@productoin"})
        assert unknown.status_code == 404 and "desk@production" in unknown.json()["error"]["next"]
        which = client.post("/v1/predict", json={"texts": "x"})
        assert which.status_code == 422 and "desk@2" in which.json()["error"]["allowed"]

        def ready() -> bool:
            return client.get("/readyz").status_code == 200  # a new client would read the system's certificates first

        assert ready()
        away = (home / "ledger.db").rename(home / "ledger.away")
        assert wait_for(lambda: not ready(), 10) < 2
        assert httpx.get(f"{running.url}/healthz").status_code == 200
        away.replace(home / "ledger.db")
        wait_for(ready, 10)
        assert version() == "desk@1"
        assert running.stop() == 0
    log = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert "Z INFO desk@1: 100% of the answers are captured; texts are not kept: the recipe" in log
    assert "Z INFO desk@production is version 2 now" in log and "Z ERROR the ledger is out of reach" in log


REFUSALS = [
    (["dsk@production"], 1, "did you mean `desk`?"),
    (["desk@productionn"], 1, "production"),
    (["run:abc"], 2, "released"),
    (["desk@1", "--host", "0.0.0.0", "--port", "0", "--project", "fresh"], 2, "needs keys"),
    (["desk@1", "--project", "nosuch"], 1, "there is no project `nosuch`"),
    (["desk@1", "--host", "203.0.113.7", "--port", "0"], 1, "--host"),
    (["desk@1", "--port", "taken"], 1, "another --port"),
]


@pytest.fixture
def keyed(home: Path, tmp_path: Path) -> Path:
    """A copy of the workspace in which somebody has a key, whether or not a server was ever started in the first."""
    shutil.copytree(home, tmp_path / "home")
    with open_session(tmp_path / "home") as session:
        where = session.ledger.engine, session.ledger.project, session.actor
        access.add_user(*where, "ana", "engineer")
        access.make_key(*where, "ana")
    with open_session(tmp_path / "home", "fresh"):  # a project in which nobody has one
        pass
    return tmp_path / "home"


@pytest.mark.parametrize(("words", "code", "told"), REFUSALS)
def test_what_cannot_be_served_says_why(
    keyed: Path, words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with taken_port() as port:
        capsys.readouterr()
        found = main([port if one == "taken" else one for one in command(keyed, *words)[3:]])
    assert found == code
    said = capsys.readouterr()
    check_refusal(said.out, said.err, told)


@pytest.mark.parametrize(("words", "code", "told"), [REFUSALS[2], REFUSALS[5]])
def test_what_cannot_be_served_ends_a_process(keyed: Path, words: list[str], code: int, told: str) -> None:
    with taken_port() as port:
        given = [port if one == "taken" else one for one in words]
        done = subprocess.run(command(keyed, *given), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    check_refusal(done.stdout, done.stderr, told)


@contextmanager
def taken_port() -> Iterator[str]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield str(other.getsockname()[1])


def check_refusal(out: str, err: str, told: str) -> None:
    """An error on stdout as JSON says so, and nothing breaks."""
    error = json.loads(out)
    assert told in " ".join(str(error[part]) for part in ("what", "seen", "allowed", "next"))
    assert "Traceback" not in err
