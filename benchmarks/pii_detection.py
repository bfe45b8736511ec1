"""Recall and precision of the PII scan on labelled rows, and its speed on short ones.

    python benchmarks/pii_detection.py ../shared/data                     ours, and rows a second of one core
    python benchmarks/pii_detection.py ../shared/data --finder presidio   presidio's pattern recognisers, same rows,
                                                                          in an environment that has presidio-analyzer

Rows: presidio_pii, 1,500 texts made from 206 templates with labelled spans. Patterns were tuned on the rows of even
template numbers; the table is of the odd ones. A gold span is found if a span of its kind equals it (strict) or
overlaps it; a span that is found is right if a gold span of its kind equals or overlaps it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # the figure is of one core

Span = tuple[str, int, int]
Finder = Callable[[list[str]], list[list[Span]]]

KINDS = {
    "EMAIL": ("EMAIL_ADDRESS", "EMAIL_ADDRESS"),
    "CREDIT_CARD": ("CREDIT_CARD", "CREDIT_CARD"),
    "IBAN": ("IBAN_CODE", "IBAN_CODE"),
    "IP_ADDRESS": ("IP_ADDRESS", "IP_ADDRESS"),
    "URL": ("DOMAIN_NAME", "URL"),
    "PHONE": ("PHONE_NUMBER", "PHONE_NUMBER"),
    "US_SSN": ("US_SSN", "US_SSN"),
    "DRIVER_LICENSE": ("US_DRIVER_LICENSE", "US_DRIVER_LICENSE"),
    "DATE_OF_BIRTH": ("DATE_TIME", "DATE_TIME"),
    "NAME": ("PERSON", "PERSON"),
    "ADDRESS": ("STREET_ADDRESS", "LOCATION"),
}
"""Our kind → the labelled kind, presidio's kind."""
BIRTH_TEMPLATES = (61, 76)
"""The label DATE_TIME is also of weekdays and years: only in these templates is it a date of birth."""
SHORT_ROWS = {"bitext_support_intents": "utterance", "banking77": "text"}


@dataclass
class Score:
    """Counts of one kind."""

    kind: str
    gold: int = 0
    found: int = 0
    gold_strict: int = 0
    gold_overlap: int = 0
    found_strict: int = 0
    found_overlap: int = 0

    def line(self) -> str:
        """The counts as shares."""
        gold, found = max(1, self.gold), max(1, self.found)
        shares = (
            self.gold_strict / gold,
            self.gold_overlap / gold,
            self.found_strict / found,
            self.found_overlap / found,
        )
        return f"{self.kind:16}{self.gold:5}{self.found:6}  " + "  ".join(f"{share:6.3f}" for share in shares)


def ours() -> Finder:
    """The spans that tunesmith finds, with its defaults."""
    import polars as pl

    from tunesmith.governance.privacy.config import PrivacyConfig
    from tunesmith.governance.privacy.detect import Detector

    detector = Detector(PrivacyConfig())

    def find(texts: list[str]) -> list[list[Span]]:
        found = detector.find(pl.Series(texts))
        return [[(one.entity, one.start, one.end) for one in found.get(row, [])] for row in range(len(texts))]

    return find


def presidio() -> Finder:
    """The spans of presidio-analyzer's pattern recognisers: its defaults for English, no trained model of names."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
            self.nlp = {"en": spacy.blank("en")}

        def is_loaded(self) -> bool:
            return True

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
    names = {theirs: kind for kind, (_, theirs) in KINDS.items()}

    def find(texts: list[str]) -> list[list[Span]]:
        return [
            [(names[one.entity_type], one.start, one.end) for one in found if one.entity_type in names]
            for found in (engine.analyze(text=text, language="en") for text in texts)
        ]

    return find


def scores(rows: list[dict], find: Finder) -> list[Score]:
    """The counts of each kind over labelled rows."""
    made = {kind: Score(kind) for kind in KINDS}
    for row, spans in zip(rows, find([row["full_text"] for row in rows]), strict=True):
        for kind, (label, _) in KINDS.items():
            is_asked = kind != "DATE_OF_BIRTH" or row["template_id"] in BIRTH_TEMPLATES
            labelled = [one for one in row["spans"] if is_asked and one["entity_type"] == label]
            gold = [(one["start_position"], one["end_position"]) for one in labelled]
            found = [(start, end) for name, start, end in spans if name == kind]
            score = made[kind]
            score.gold, score.found = score.gold + len(gold), score.found + len(found)
            score.gold_strict += sum(one in found for one in gold)
            score.found_strict += sum(one in gold for one in found)
            score.gold_overlap += sum(any(overlap(one, other) for other in found) for one in gold)
            score.found_overlap += sum(any(overlap(one, other) for other in gold) for one in found)
    return list(made.values())


def overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two spans share a character."""
    return one[0] < other[1] and other[0] < one[1]


def speed(data: Path) -> dict[str, float]:
    """Rows a second of processor time of the whole scan, by set: the best of five passes, everything loaded."""
    import polars as pl

    from tunesmith.governance.privacy.config import PrivacyConfig
    from tunesmith.governance.privacy.treat import Treatment

    treatment = Treatment(PrivacyConfig(), b"k" * 32)
    treatment.column(pl.Series(["a@b.org 4111 1111 1111 1111 +49 30 123456"]))
    result = {}
    for name, column in SHORT_ROWS.items():
        files = sorted((data / name).glob("*.csv"))
        texts = pl.concat([pl.read_csv(file, infer_schema=False)[column] for file in files])
        took = []
        for _ in range(5):
            started = time.process_time()
            treatment.column(texts)
            took.append(time.process_time() - started)
        result[name] = round(len(texts) / min(took))
    return result


def main() -> None:
    """Print the tables, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--finder", choices=("tunesmith", "presidio"), default="tunesmith")
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    rows = json.loads((args.data / "presidio_pii" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    find = ours() if args.finder == "tunesmith" else presidio()
    result: dict[str, object] = {"finder": args.finder}
    for name, rest in (("tuned on (even templates)", 0), ("held out (odd templates)", 1)):
        part = scores([row for row in rows if row["template_id"] % 2 == rest], find)
        result[name] = [asdict(one) for one in part]
        print(f"\n{name}\n{'':16} gold found  recall        precision\n{'':29}strict overlap  strict overlap")
        print("\n".join(one.line() for one in part))
    if args.finder == "tunesmith":
        result["rows_per_s"] = speed(args.data)
        print(f"\nrows a second of one core: {result['rows_per_s']}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
