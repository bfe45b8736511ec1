"""Models of the Hub: really fetched over HTTP, from a small Hub on the loopback, and really read from the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests import hub_server, tiny

NAME = "owner/tiny"
FIRST, SECOND = "a" * 40, "b" * 40
FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]

LOCATE = """
import json, sys
from tunesmith.core.errors import TunesmithError
from tunesmith.selection.locate import locate
for name, commit in json.loads(sys.argv[1]):
    try:
        found = locate(name, commit)
        print(json.dumps({"files": sorted(found.files()), "commit": found.commit, "fingerprint": found.fingerprint()}))
    except TunesmithError as error:
        print(json.dumps(error.to_dict()))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[hub_server.FakeHub]:
    """A Hub with a tiny decoder of two commits; what else lies in its repository is never to be fetched."""
    folder = Path(shutil.copytree(tiny.decoder("llama"), tmp_path / "published"))
    for name in ("pytorch_model.bin", "modeling_tiny.py", "README.md"):
        (folder / name).write_bytes(b"not ours")
    with hub_server.serving() as found:
        found.add(NAME, FIRST, folder, ref="v1")
        (folder / "chat_template.jinja").write_text("{{ messages }}")
        found.add(NAME, SECOND, folder)
        yield found


def ask(home: Path, names: Sequence[str | tuple[str, str]], url: str = "", **environment: str) -> list[dict[str, Any]]:
    """What names stand for, in a process of its own: the Hub's settings are read once."""
    kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and not key.startswith("HF_")}
    more = {"HF_HOME": str(home), "HF_ENDPOINT": url or "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1"}
    asked = [(one, None) if isinstance(one, str) else one for one in names]
    done = subprocess.run(
        [sys.executable, "-c", LOCATE, json.dumps(asked)],
        env=kept | more | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_model_is_fetched_once_and_known_by_its_commit(hub: hub_server.FakeHub, tmp_path: Path) -> None:
    names: list[Any] = [NAME, NAME, f"{NAME}@v1", f"{NAME}@{FIRST}", (NAME, FIRST)]
    newest, again, tagged, named, held = ask(tmp_path / "home", names, hub.url)
    assert newest == again
    assert (newest["commit"], newest["files"]) == (SECOND, sorted([*FILES, "chat_template.jinja"]))
    assert tagged == named == held, "a tag, a commit, and a commit that a plan has found are one"
    assert (tagged["commit"], tagged["files"]) == (FIRST, FILES)
    assert hub.fetched() == sorted([*FILES, "chat_template.jinja"]), "equal files of two commits are fetched once"

    # The Hub is gone: what was fetched is all there is, and is enough.
    gone = ask(tmp_path / "home", [NAME, f"{NAME}@{FIRST}"], HF_HUB_OFFLINE="1")
    assert [one["commit"] for one in gone] == [SECOND, FIRST]
    [down] = ask(tmp_path / "home", [NAME])
    assert down == newest
    assert hub.asked == []


def test_a_copy_that_was_broken_off_is_completed(hub: hub_server.FakeHub, tmp_path: Path) -> None:
    part = tmp_path / "home" / "hub" / "models--owner--tiny" / "snapshots" / FIRST
    part.mkdir(parents=True)
    shutil.copy(tiny.decoder("llama") / "config.json", part)
    [found] = ask(tmp_path / "home", [(NAME, FIRST)], hub.url)
    assert found["files"] == FILES
    assert "model.safetensors" in hub.fetched()


def test_every_refusal_says_what_to_do(hub: hub_server.FakeHub, tmp_path: Path) -> None:
    for name, refusal in (
        ("owner/gated", (403, "GatedRepo")),
        ("owner/private", (401, "")),
        ("owner/broken", (500, "")),
    ):
        hub.add(name, FIRST, tiny.decoder("llama"))
        hub.repositories[name].refusal = refusal
    names = ["owner/gated", "owner/private", "owner/absent", f"{NAME}@v9", "owner/broken"]
    gated, private, absent, revision, broken = ask(tmp_path / "home", names, hub.url)
    assert {one["error"] for one in (gated, private, absent, revision, broken)} == {"ModelError"}
    assert "is gated" in gated["what"] and "agree to its terms" in gated["next"] and "hf auth login" in gated["next"]
    for one in (private, absent):
        assert "no model `owner/" in one["what"] and "private" in one["what"] and "hf auth login" in one["next"]
    assert "no revision `v9`" in revision["what"] and "tag" in revision["next"]
    assert "cannot be reached" in broken["what"] and "500" in broken["seen"]


def test_without_a_network_or_a_copy_it_says_how_to_get_one(tmp_path: Path) -> None:
    [offline] = ask(tmp_path / "home", ["owner/absent"], HF_HUB_OFFLINE="1")
    [down] = ask(tmp_path / "home", ["owner/absent@main"])
    for one in (offline, down):
        assert one["error"] == "ModelError" and "not in the local cache" in one["what"]
        assert "hf download owner/absent" in one["next"]
    assert offline["seen"] == "HF_HUB_OFFLINE is set"
    assert "onnect" in down["seen"], "and what the network said"


def test_a_repository_without_weights_or_with_names_outside_of_it(hub: hub_server.FakeHub, tmp_path: Path) -> None:
    hub.repositories["owner/empty"] = hub_server.Repository({FIRST: {"README.md": b"soon"}}, {"main": FIRST})
    files = {"config.json": b"{}", "../../../outside.json": b"{}"}
    hub.repositories["owner/hostile"] = hub_server.Repository({FIRST: files}, {"main": FIRST})
    empty, hostile = ask(tmp_path / "home", ["owner/empty", "owner/hostile"], hub.url)
    assert not list(tmp_path.rglob("outside.json")), "nothing is written beside the cache"
    assert hostile["error"] == "ModelError" and "outside.json" in hostile["seen"]
    assert empty["files"] == [], "and the base stage says that there is no model"
