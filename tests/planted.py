"""Made-up people planted in two sources, and a search for them that knows nothing of the product's own."""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from tests import tiny

SYLLABLES = ("zor", "vath", "quel", "mip", "drax", "wyn", "jub", "kesh", "fip", "gorn", "xil", "bra")


@dataclass(frozen=True)
class Planted:
    """A person who never was."""

    id: str
    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def traces(self) -> tuple[str, ...]:
        """What must be found nowhere once they are erased."""
        return (self.id, *self.name.split(), *self.texts)


def people(number: int, texts_each: int = 3, seed: int = 5) -> list[Planted]:
    """So many people, every name and id in their own texts alone."""
    rng = random.Random(seed)
    names: set[str] = set()
    while len(names) < 2 * number:
        names.add("".join(rng.sample(SYLLABLES, 3)).capitalize())
    drawn = sorted(names)
    rng.shuffle(drawn)
    sentences, labels = tiny.sentences(number * texts_each, seed)
    made = []
    for place in range(number):
        own = slice(place * texts_each, (place + 1) * texts_each)
        id, name = f"CUST-{rng.randrange(10**6, 10**7)}", f"{drawn[2 * place]} {drawn[2 * place + 1]}"
        texts = [f"{one} says {name}" for one in sentences[own]]
        texts[0] += f", number {id}"
        made.append(Planted(id, name, tuple(texts), tuple(labels[own])))
    return made


def write_sources(planted: list[Planted], folder: Path) -> None:
    """``tickets.csv`` with the first texts of each, and ``mails.jsonl`` with the last."""
    rows = [
        {"who": one.id, "text": text, "label": label, "name": one.name}
        for one in planted
        for text, label in zip(one.texts, one.labels, strict=True)
    ]
    last = {one.texts[-1] for one in planted}
    tickets = pl.DataFrame([row for row in rows if row["text"] not in last])
    content = tickets.write_csv()
    # A record that cannot be read as a row, with a person in it.
    content += "".join(f"{one.id},torn,{one.name},x,y,z\n" for one in planted[:4])
    (folder / "tickets.csv").write_text(content)
    pl.DataFrame([row for row in rows if row["text"] in last]).write_ndjson(folder / "mails.jsonl")


def hits(folder: Path, traces: list[str]) -> dict[str, set[str]]:
    """File → what of some traces is in its bytes, unpacked bytes, or cells."""
    wanted = {trace: trace.encode() for trace in traces}
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        contents = [path.read_bytes()]
        if contents[0][:2] == b"\x1f\x8b":
            contents.append(gzip.decompress(contents[0]))
        if path.suffix == ".parquet":
            contents.append(str(pl.read_parquet(path).to_dicts()).encode())
            contents.append(pl.read_parquet(path).select(pl.exclude(pl.Binary)).write_ndjson().encode())
        here = {trace for trace, data in wanted.items() for content in contents if data in content}
        # Words are folded where they are counted.
        here |= {t for t in traces if t.isalpha() and any(t.casefold().encode() in one for one in contents)}
        if here:
            found[path.relative_to(folder).as_posix()] = here
    return found
