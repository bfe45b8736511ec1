"""What is personal in a text: every kind found where it stands, and nothing that only looks like it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.governance.privacy.config import ENTITIES, PrivacyConfig
from tunesmith.governance.privacy.detect import WINDOW_CHARS, Detector
from tunesmith.governance.privacy.finding import Finding, resolved
from tunesmith.governance.privacy.treat import as_read

DETECTOR = Detector(PrivacyConfig())

FOUND = [
    ("EMAIL", "write to <jane.o'neil+news@mail.example.co.uk>, please", "jane.o'neil+news@mail.example.co.uk"),
    ("EMAIL", "Schreib an jürgen@müller.de.", "jürgen@müller.de"),
    ("PHONE", "call +49 (0)30 901820 now", "+49 (0)30 901820"),
    ("PHONE", "my number is (212) 736-5000 x12", "(212) 736-5000 x12"),
    ("PHONE", "they are at 020 7946 0018", "020 7946 0018"),
    ("PHONE", "Tel.: 5551234", "5551234"),
    ("CREDIT_CARD", "paid with 4111-1111-1111-1111 today", "4111-1111-1111-1111"),
    ("CREDIT_CARD", "378282246310005", "378282246310005"),
    ("CREDIT_CARD", "my card 3502162941615515 expired", "3502162941615515"),
    ("IBAN", "to DE89 3704 0044 0532 0130 00 by Friday", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "gb82west12345698765432", "gb82west12345698765432"),
    ("IP_ADDRESS", "from 192.168.13.7:8080", "192.168.13.7"),
    ("IP_ADDRESS", "at 2001:db8:85a3::8a2e:370:7334.", "2001:db8:85a3::8a2e:370:7334"),
    ("MAC_ADDRESS", "device 00:1B:44:11:3A:B7 lost", "00:1B:44:11:3A:B7"),
    ("URL", "(see https://example.org/a_(b)?q=1).", "https://example.org/a_(b)?q=1"),
    ("URL", "go to www.example.com!", "www.example.com"),
    ("URL", "shop.example.com/cart has it", "shop.example.com/cart"),
    ("CRYPTO", "send to 1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
    ("CRYPTO", "0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("US_SSN", "SSN 078051121", "078051121"),
    ("US_SSN", "it is 536-90-4399", "536-90-4399"),
    ("US_ITIN", "my ITIN is 912-90-3456", "912-90-3456"),
    ("UK_NHS", "NHS number 943 476 5870", "943 476 5870"),
    ("UK_NINO", "I am QQ 12 34 56 C".replace("QQ", "AB"), "AB 12 34 56 C"),
    ("DE_STEUER_ID", "Steuer-ID: 36 574 261 809", "36 574 261 809"),
    ("FR_NIR", "nir 2 95 10 99 126 111 93", "2 95 10 99 126 111 93"),
    ("ES_NIF", "soy 54362315K", "54362315K"),
    ("ES_NIF", "NIE X-2482300W", "X-2482300W"),
    ("IT_CODICE_FISCALE", "RCCMNL83S18D969H", "RCCMNL83S18D969H"),
    ("NL_BSN", "bsn 1112.22.333", "1112.22.333"),
    ("BR_CPF", "390.533.447-05 é o meu", "390.533.447-05"),
    ("PT_NIF", "NIF 501 964 843", "501 964 843"),
    ("BE_NN", "85.07.30-033.28", "85.07.30-033.28"),
    ("PL_PESEL", "PESEL 44051401359", "44051401359"),
    ("SE_PERSONNUMMER", "jag är 880320-0016", "880320-0016"),
    ("DK_CPR", "CPR 211062-5629", "211062-5629"),
    ("NO_FODSELSNUMMER", "fødselsnummer 151086 95088", "151086 95088"),
    ("FI_HETU", "131052-308T", "131052-308T"),
    ("CH_AHV", "AHV 756.9217.0769.85", "756.9217.0769.85"),
    ("AT_SVNR", "SVNR 1237 010180", "1237 010180"),
    ("IE_PPS", "6433435F", "6433435F"),
    ("CA_SIN", "SIN 123-456-782", "123-456-782"),
    ("AU_TFN", "TFN 123 456 782", "123 456 782"),
    ("IN_AADHAAR", "aadhaar 2341 2341 2346", "2341 2341 2346"),
    ("IN_PAN", "PAN ACUPA7085R", "ACUPA7085R"),
    ("MX_CURP", "BOXW310820HNERXN09", "BOXW310820HNERXN09"),
    ("CN_RIC", "360426199101010071", "360426199101010071"),
    ("TR_TCKIMLIK", "TC kimlik 17291716060", "17291716060"),
    ("ZA_ID", "id number 750330 5044 089", "750330 5044 089"),
    ("RO_CNP", "CNP 1630615123457", "1630615123457"),
    ("CZ_RC", "710319/2745", "710319/2745"),
    ("CL_RUT", "12.531.909-2", "12.531.909-2"),
    ("HR_OIB", "OIB 33392005961", "33392005961"),
    ("DRIVER_LICENSE", "my driver's license number is F162823540116 ok", "F162823540116"),
    ("PASSPORT", "passport no. C01X00T47 expired", "C01X00T47"),
    ("DATE_OF_BIRTH", "I was born on 3 March 1984 in Rome", "3 March 1984"),
    ("DATE_OF_BIRTH", "DOB: 1984-03-03", "1984-03-03"),
    ("NAME", "Hello, my name is Ana María de la Cruz and I", "Ana María de la Cruz"),
    ("NAME", "my name is priya sharma", "priya sharma"),
    ("NAME", "ask Mrs. O'Brien about it", "O'Brien"),
    ("NAME", "Dear Tom,\nthanks", "Tom"),
    ("NAME", "It is late.\nKind regards,\nLena Fischer", "Lena Fischer"),
    ("NAME", "this is Omar Haddad speaking", "Omar Haddad"),
    ("NAME", "Name: Wei Zhang\nphone", "Wei Zhang"),
    ("NAME", "From: Jane Doe <j@x.org>", "Jane Doe"),
    ("NAME", "ich heiße Jörg Müller", "Jörg Müller"),
    ("ADDRESS", "ship to 1600 Pennsylvania Avenue NW", "1600 Pennsylvania Avenue"),
    ("ADDRESS", "221B Baker Street, London NW1 6XE please", "221B Baker Street, London NW1 6XE"),
    ("ADDRESS", "Hauptstraße 12a, 10115 Berlin", "Hauptstraße 12a, 10115 Berlin"),
    ("ADDRESS", "12 rue de la Paix, 75002 Paris", "12 rue de la Paix, 75002 Paris"),
    ("ADDRESS", "Calle Mayor 14", "Calle Mayor 14"),
    ("ADDRESS", "P.O. Box 1234", "P.O. Box 1234"),
]

NOT_FOUND = [
    "order 4111111111111112 is late",  # Luhn fails
    "order number 732201349959, please",
    "it costs 1,234,567.89 or 12 345 678 euros",
    "version 1.2.3.4.5 and 10.0.0.256",
    "on 2024-05-17 at 12:30:45, 17.05.2024",
    "DE89 3704 0044 0532 0130 01",  # mod 97 fails
    "my name is not shown correctly",
    "my name is spelled wrong on the card",
    "dear customer support team",
    "Dear Sir or Madam,",
    "Thanks, that helped a lot.",
    "666-12-3456 and 000-12-3456 and 987-65-4321",  # no such social security numbers
    "ratio 0.4111111111111111 of it",
    "the code 943 476 5870 1234 5",
    "54362315Z",  # the letter is another
    "a@b and @handle and me@localhost",
    "I waited for 2 hours. Then I left.it was late",
    "localhost 127.0.0.1 answers",
    "the street was closed at number 12",
    "what is the address of the shop?",
    "is my card a Visa or not? How do I call you?",
]


@pytest.mark.parametrize(("entity", "text", "value"), FOUND)
def test_it_is_found_where_it_stands(entity: str, text: str, value: str) -> None:
    found = [(one.entity, text[one.start : one.end]) for one in DETECTOR.find_in(text)]
    assert (entity, value) in found


def test_every_kind_is_shown_by_an_example() -> None:
    assert {entity for entity, _, _ in FOUND} == set(ENTITIES)


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert [(one.entity, text[one.start : one.end]) for one in DETECTOR.find_in(text)] == []


@pytest.mark.parametrize(
    ("country", "digits"),
    [("NL", "111222333"), ("PL", "44051401359"), ("CA", "123456782"), ("GB", "9434765870"), ("DE", "36574261809")],
)
def test_bare_digits_need_words_or_a_country(country: str, digits: str) -> None:
    text = f"it is {digits} I think"
    assert DETECTOR.find_in(text) == []
    (found,) = Detector(PrivacyConfig(countries=(country,))).find_in(text)
    assert text[found.start : found.end] == digits and found.score == 0.5
    wrong = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    assert Detector(PrivacyConfig(countries=(country,))).find_in(f"it is {wrong} I think") == []


def test_named_countries_are_the_only_ones() -> None:
    text = "soy 54362315K, bsn 111222333"
    assert [one.entity for one in Detector(PrivacyConfig(countries=("NL",))).find_in(text)] == ["NL_BSN"]


def test_regions_decide_which_national_numbers_are_numbers() -> None:
    text = "or 030 901820 12"
    assert [one.entity for one in Detector(PrivacyConfig(regions=("DE",))).find_in(text)] == ["PHONE"]
    assert Detector(PrivacyConfig(regions=("US",))).find_in(text) == []


def test_a_pattern_of_ones_own_is_found_and_sure() -> None:
    detector = Detector(PrivacyConfig(patterns={"ORDER_ID": r"\bORD-([0-9]{6})\b"}, min_score=1.0))
    (found,) = detector.find_in("where is ORD-123456?")
    assert (found.entity, found.start, found.end) == ("ORDER_ID", 13, 19), "its first group is the value"


def test_what_is_less_sure_than_asked_is_left_out() -> None:
    text = "my name is Ada Byron, ada@byron.org, 1.2.3.4"
    kinds = {
        score: [one.entity for one in Detector(PrivacyConfig(min_score=score)).find_in(text)]
        for score in (0.5, 0.85, 1)
    }
    assert kinds == {0.5: ["NAME", "EMAIL", "IP_ADDRESS"], 0.85: ["NAME", "EMAIL"], 1: ["EMAIL"]}


findings = st.builds(
    lambda start, length, entity, proven: Finding(start, start + length, entity, 1.0 if proven else 0.5, proven),
    st.integers(0, 30),
    st.integers(1, 12),
    st.sampled_from(["EMAIL", "URL", "PHONE"]),
    st.booleans(),
)


@given(st.lists(findings, max_size=12), st.randoms(use_true_random=False))
def test_overlaps_are_resolved_alike_in_any_order(found: list[Finding], rng: random.Random) -> None:
    chosen = resolved(found, lambda entity: False)
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert resolved(shuffled, lambda entity: False) == chosen
    assert all(one.end <= other.start for one, other in itertools.pairwise(chosen)), "none overlap"
    for lost in set(found) - set(chosen):
        winners = [one for one in chosen if one.start < lost.end and lost.start < one.end]
        assert winners, "nothing is lost without a better one in its place"
        assert any(
            (not w.is_proven, w.start - w.end, w.start) <= (not lost.is_proven, lost.start - lost.end, lost.start)
            for w in winners
        )


def test_proven_before_longer_before_earlier() -> None:
    card, long, early = (
        Finding(5, 21, "CREDIT_CARD", 1, True),
        Finding(0, 30, "ADDRESS", 0.7),
        Finding(2, 8, "NAME", 0.9),
    )
    assert resolved([early, long, card], lambda entity: False) == [card]
    assert resolved([early, long], lambda entity: False) == [long]
    twin = Finding(4, 10, "NAME", 0.9)
    assert resolved([twin, early], lambda entity: False) == [early]


def test_a_kind_that_stays_shields_nothing_inside_of_it() -> None:
    text = "https://example.org/?mail=ada@byron.org"
    assert [one.entity for one in DETECTOR.find_in(text)] == ["URL"], "all are kept: the longer one"
    config = PrivacyConfig(on_pii="redact", entities={"URL": "allow"})
    assert [one.entity for one in Detector(config).find_in(text)] == ["EMAIL"]
    config = PrivacyConfig(on_pii="redact")
    (found,) = Detector(config).find_in(text)
    assert (found.entity, found.end) == ("URL", len(text))


@pytest.mark.parametrize(
    "hidden",
    ["ada\u200b@byron.org", "ada&#64;byron.org", "ａｄａ＠ｂｙｒｏｎ．ｏｒｇ", "ada\u00ad@byr\u2060on.org"],
)
def test_no_value_hides_behind_characters_that_cleaning_takes_away(hidden: str) -> None:
    read = as_read(pl.Series([hidden]))
    assert read[0] == "ada@byron.org"
    assert [one.entity for one in DETECTOR.find_in(read[0])] == ["EMAIL"]


def test_gates_let_by_whatever_the_patterns_find() -> None:
    """The cheap look over a column may let too much by, never too little."""
    texts = [text for _, text, _ in FOUND] + [text.lower() for _, text, _ in FOUND] + NOT_FOUND
    assert without_gates(DETECTOR).find(pl.Series(texts)) == DETECTOR.find(pl.Series(texts))


def test_gates_on_labelled_rows(shared_data: Path) -> None:
    rows = json.loads((shared_data / "presidio_pii" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    texts = pl.Series([row["full_text"] for row in rows[::3]])
    assert without_gates(DETECTOR).find(texts) == DETECTOR.find(texts)


def without_gates(detector: Detector) -> Detector:
    """The same rules, every pattern on every row."""
    open_ = Detector(detector.config)
    open_.__dict__["rules"] = tuple(dataclasses.replace(rule, gate="") for rule in detector.rules)
    return open_


LINES = ("a", "a@", "1 ", "12-", "a.b", "1.", "my name is ", "Aa Bb ", "DE89 ", "+1 ", ":a", "12 Aa Street ", "http://")
"""Each begins like a value all along."""


@pytest.mark.parametrize(("line", "size"), [*((line, 20_000) for line in LINES), ("it is an ordinary line. ", 100_000)])
def test_no_line_takes_more_than_linear_time(line: str, size: int) -> None:
    """Ten times the text takes about ten times as long, where the square would be a hundred times."""
    assert seconds(DETECTOR, line, 10 * size) < 40 * max(seconds(DETECTOR, line, size), 0.005)


def test_a_pattern_that_stops_other_engines_does_not_stop_this_one() -> None:
    """`(a+)+b` takes exponential time where patterns are tried by backtracking; `a(.*b)?c` looks to the end of the text
    for every match, which pieces of bounded length keep linear."""
    detector = Detector(PrivacyConfig(patterns={"EVIL": r"(a+)+b", "AHEAD": r"a(?:.*b)?c"}))
    small, large = (seconds(detector, "a", factor * WINDOW_CHARS) for factor in (2, 8))
    assert large < 12 * small, "16 would be the square, 4 is the line"


def seconds(detector: Detector, line: str, num_chars: int) -> float:
    """The least of two looks at a line repeated."""
    texts = pl.Series([(line * (num_chars // len(line) + 1))[:num_chars]])
    took = []
    for _ in range(2):
        started = time.process_time()
        detector.find(texts)
        took.append(time.process_time() - started)
    return min(took)


def test_long_lines_are_seen_to_their_end() -> None:
    text = "word " * 20_000 + "ada@byron.org " + "word " * 20_000 + "+49 30 901820"
    found = [text[one.start : one.end] for one in DETECTOR.find_in(text)]
    assert found == ["ada@byron.org", "+49 30 901820"]
    accents = "é" * (WINDOW_CHARS * 2) + " bob@byron.org"
    assert [accents[one.start : one.end] for one in DETECTOR.find_in(accents)] == ["bob@byron.org"]


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_looked_at(text: str) -> None:
    for one in DETECTOR.find_in(text):
        assert 0 <= one.start < one.end <= len(text) and 0.5 <= one.score <= 1
