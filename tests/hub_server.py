"""A small Hugging Face Hub on the loopback: repositories of files by commit, some of them gated, private or broken."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlparse


@dataclass
class Repository:
    """A model: its commits, each with its files, and where its branches and tags stand."""

    commits: dict[str, Mapping[str, bytes]]
    refs: dict[str, str]
    refusal: tuple[int, str] | None = None
    """The status and the ``X-Error-Code`` that everybody gets."""


@dataclass
class FakeHub:
    """The repositories by id, and every path that was asked for."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, name: str, commit: str, folder: Path, ref: str = "main") -> None:
        """Publish a folder under a commit, and move a branch to it."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        known = self.repositories.setdefault(name, Repository({}, {}))
        known.commits[commit], known.refs[ref] = files, commit

    def fetched(self) -> list[str]:
        """The names of the files that were downloaded since the last call, in order."""
        found = sorted(
            path.rpartition("/")[2] for path in self.asked if path.startswith("GET ") and "/resolve/" in path
        )
        self.asked.clear()
        return found


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A Hub that answers until the block ends."""
    hub = FakeHub()

    class Handler(_Handler):
        """Answers for this Hub."""

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, *, has_body: bool) -> None:
        parts = unquote(urlparse(self.path).path).strip("/").split("/")
        self.hub.asked.append(f"{self.command} /{'/'.join(parts)}")
        is_api = parts[:2] == ["api", "models"]
        owner, name, verb, revision, *rest = [*parts[2 if is_api else 0 :], "", "", "", ""][: max(4, len(parts))]
        repository = self.hub.repositories.get(f"{owner}/{name}")
        if repository is None:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, has_body)
        if repository.refusal is not None:
            status, code = repository.refusal
            return self._send(status, b"{}", {"X-Error-Code": code} if code else {}, has_body)
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, has_body)
        files = repository.commits[commit]
        if verb == "revision":
            body = {"id": f"{owner}/{name}", "sha": commit, "siblings": [{"rfilename": one} for one in files]}
            return self._send(200, json.dumps(body).encode(), {}, has_body)
        if verb == "tree":
            entries = [
                {"type": "file", "path": path, "size": len(data), "oid": _oid(data)} for path, data in files.items()
            ]
            return self._send(200, json.dumps(entries).encode(), {}, has_body)
        path = "/".join(one for one in rest if one)
        if path not in files:
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, has_body)
        headers = {"ETag": f'"{_oid(files[path])}"', "X-Repo-Commit": commit}
        return self._send(200, files[path], headers, has_body)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], has_body: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if has_body:
            self.wfile.write(body)


def _oid(data: bytes) -> str:
    return sha1(data, usedforsecurity=False).hexdigest()
