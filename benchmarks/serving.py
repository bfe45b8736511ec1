"""Served answers a second for 32 clients, over HTTP: our server, the same with batching off, and one by one in process.

``python -m benchmarks.serving --home HOME --model NAME@ALIAS --texts FILE.csv [--column text]`` serves the model three
ways, each server and the clients in processes of their own, on two cores: batched in the precision that the model's
rows allow, batched in float32, and one text at a time in float32. The ways alternate; each text is asked once, so the
cache answers nothing. Goals of issue 5: at least 3 times the server with batching off, at least 6 times one by one in
process. Reported: answers a second, processor seconds an answer, p50 and p99, refusals, the median ratios, the load.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

CLIENTS = 32
WARM = 500
"""Texts asked before the clock runs: what is measured is a server that has run for a while."""
WAYS = ("batched", "batched float32", "one at a time")


def serve(home: str, model: str, way: str) -> None:
    """Serve one way until a signal; what the ways do not differ in is as ``tunesmith serve`` has it."""
    from tunesmith.engines.batching import BatchOptions
    from tunesmith.server.limits import Limits
    from tunesmith.server.run import ServeOptions, Started
    from tunesmith.server.run import serve as run

    batching = BatchOptions(max_rows=1) if way == "one at a time" else BatchOptions()
    precision: Any = "bfloat16" if way == "batched" else "float32"
    options = ServeOptions(port=0, limits=Limits(requests_per_s=0), batching=batching, precision=precision)

    def announce(started: Started) -> None:
        print(json.dumps(started.to_dict()), flush=True)

    run([model], options, home=home, announce=announce)


async def _client(host: str, port: int, key: str, texts: list[str], told: list[tuple[int, float]]) -> None:
    """Ask texts one after the other on one connection: the clients share the cores, so they are kept cheap."""
    reader, writer = await asyncio.open_connection(host, port)
    while texts:
        body = json.dumps({"texts": texts.pop()}).encode()
        head = (
            f"POST /v1/predict HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        begun = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in answer.split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(length)
        told.append((int(answer[9:12]), time.perf_counter() - begun))
    writer.close()


def load(url: str, key: str, texts: list[str]) -> dict[str, Any]:
    """What 32 clients saw that asked all texts."""
    host, _, port = url.removeprefix("http://").partition(":")
    told: list[tuple[int, float]] = []
    left = list(texts)

    async def all_of_them() -> None:
        await asyncio.gather(*(_client(host, int(port), key, left, told) for _ in range(CLIENTS)))

    begun = time.perf_counter()
    asyncio.run(all_of_them())
    wall_s = time.perf_counter() - begun
    times = sorted(seconds for _, seconds in told)
    statuses = Counter(str(status) for status, _ in told)
    return {
        "answers": len(told),
        "per_s": len(told) / wall_s,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[min(len(times) - 1, int(len(times) * 0.99))],
        "statuses": dict(statuses),
        "refused": sum(number for status, number in statuses.items() if status != "200"),
    }


def _processor_s(pid: int) -> float:
    """The processor seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def over_http(home: str, model: str, way: str, texts: list[str], warm: list[str]) -> dict[str, Any]:
    """One server, asked by a process of its own."""
    me = [sys.executable, "-m", "benchmarks.serving", "--home", home, "--model", model]
    with subprocess.Popen([*me, "--serve", way], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        key = (Path(home) / "projects/default/owner.key").read_text(encoding="utf-8").strip()
        try:
            _asked([*me, "--load", url], key, warm)
            before = _processor_s(server.pid)
            seen = _asked([*me, "--load", url], key, texts)
            seen["processor_ms_an_answer"] = 1000 * (_processor_s(server.pid) - before) / len(texts)
        finally:
            server.send_signal(signal.SIGTERM)
        seen["exit_code"] = server.wait(60)
    return seen


def _asked(command: list[str], key: str, texts: list[str]) -> dict[str, Any]:
    given = json.dumps({"key": key, "texts": texts})
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def in_process(home: str, model: str, texts: list[str], warm: list[str]) -> dict[str, Any]:
    """One text after the other, float32, without a server."""
    from tunesmith import api

    with api.open_session(home) as session:
        from tunesmith.lifecycle.model import open_head

        opened = open_head(session, model)
        for text in warm[:64]:
            opened.predict([text])
        begun, before = time.perf_counter(), time.process_time()
        for text in texts:
            opened.predict([text])
        wall_s, processor_s = time.perf_counter() - begun, time.process_time() - before
    return {
        "answers": len(texts),
        "per_s": len(texts) / wall_s,
        "processor_ms_an_answer": 1000 * processor_s / len(texts),
    }


def main() -> None:
    """Measure all ways in turn and print one JSON value."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--column", default="text")
    parser.add_argument("--rows", type=int, default=600, help="texts of each way and repetition")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--serve", choices=WAYS, help="be the server")
    parser.add_argument("--load", help="be the clients of this URL; key and texts come on stdin")
    given = parser.parse_args()
    if given.serve:
        serve(given.home, given.model, given.serve)
        return
    if given.load:
        asked = json.load(sys.stdin)
        print(json.dumps(load(given.load, asked["key"], asked["texts"])))
        return
    with given.texts.open(encoding="utf-8") as stream:
        texts = [row[given.column] for row in csv.DictReader(stream)]
    warm, texts = texts[:WARM], texts[WARM:][: given.rows]
    times: dict[str, list[dict[str, Any]]] = {way: [] for way in (*WAYS, "in process")}
    for number in range(given.repetitions):
        order = list(times) if number % 2 == 0 else list(reversed(times))
        for way in order:
            few = texts[: max(32, len(texts) // 4)] if way in ("one at a time", "in process") else texts
            seen = (
                in_process(given.home, given.model, few, warm)
                if way == "in process"
                else over_http(given.home, given.model, way, few, warm)
            )
            times[way].append({**seen, "load": os.getloadavg()[0]})
            print(way, json.dumps(times[way][-1]), file=sys.stderr)
    print(json.dumps(_summary(times), indent=1))


def _summary(times: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    def ratios(way: str, against: str) -> dict[str, float]:
        """The median ratios of runs that lie beside one another, by the clock and by processor time."""
        pairs = list(zip(times[way], times[against], strict=True))
        return {
            "wall": statistics.median(one["per_s"] / other["per_s"] for one, other in pairs),
            "processor": statistics.median(
                other["processor_ms_an_answer"] / one["processor_ms_an_answer"] for one, other in pairs
            ),
        }

    return {
        "clients": CLIENTS,
        "cores": os.cpu_count(),
        "ratios": {
            f"{way} over {against}": ratios(way, against)
            for way in ("batched", "batched float32")
            for against in ("one at a time", "in process")
        },
        "times": times,
    }


if __name__ == "__main__":
    main()
