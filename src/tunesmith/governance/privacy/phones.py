"""Phone numbers: found by their shape, judged by the numbering plans of ``phonenumbers``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tunesmith.governance.privacy.finding import CERTAIN, POSSIBLE, SAID, Candidate, Finding, Rule
from tunesmith.governance.privacy.patterns import compiled

REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "AT", "CH", "SE", "NO", "DK", "FI", "PL", "PT", "IE", "CZ",
           "HU", "GR", "AU", "NZ", "CA", "IN", "BR", "MX", "ZA", "JP", "IL", "CY")  # fmt: skip
"""Where a number may be at home that has no country code."""
_WORDS = compiled(
    r"(?:^|[^\pL])(?:phones?|telephone|tel|mobiles?|cell(?:phone)?|fax|call(?:ed|ing)?|dial|sms|text(?: me)?|whatsapp|"
    r"landline|hotline|desk|office|contact number|reach (?:me|us|him|her|them)|answering|messages? to|ring (?:me|us)|"
    r"my number|registered|telefono|tel[eé]fono|telefone|telefon\w*|handy\w*|mobil\w*|rufnummer|t[eé]l[eé]phone|"
    r"portable|celular|m[oó]vil|cellulare|telefoon\w*|mobiel\w*|puhelin\w*|anrufen)(?:$|[^\pL])",
    ignores_case=True,
)
_OTHER = compiled(
    r"(?:^|[^\pL])(?:orders?|invoices?|bills?|tickets?|tracking|refund|purchases?|account|acct|customer|card|cc|"
    r"reference|ref|transaction|zip|postcode|isbn|iban|serial|model|version|id|no)(?:\W{1,3}(?:number|no|num|nr|id)\W*)?"
    r"\W*$",
    ignores_case=True,
)
_DATE = compiled(
    r"^(?:(?:19|20)[0-9]{2}[-/. ][01]?[0-9][-/. ][0-3]?[0-9]|[0-3]?[0-9][-/. ][0-3]?[0-9][-/. ](?:19|20)?[0-9]{2})"
    r"(?:[ T-]+[0-2]?[0-9](?:[.-][0-5][0-9]){0,2})?$"
)
_SHAPE = (
    r"(?:\+|00[ -]?[1-9])?\(?\+?[0-9](?:[ .\-/()]{0,2}[0-9]|[ ]?\(0\)[ ]?){5,16}"
    r"(?:[ ]?(?:x|ext\.?|extension|#)[ ]?[0-9]{1,6})?"
)
_AROUND_CHARS, _AFTER_CHARS = 45, 14


def rules(regions: Sequence[str]) -> list[Rule]:
    """The rule of this page."""
    chosen = tuple(regions) or REGIONS

    def judge(one: Candidate) -> Finding | None:
        return _judged(one, chosen)

    gate = r"[0-9](?:[ .\-/()]{0,3}[0-9]){5}"
    return [Rule(("PHONE",), gate, compiled(_SHAPE, ignores_case=True), judge)]


def _judged(one: Candidate, regions: tuple[str, ...]) -> Finding | None:
    one = _whole(one)
    before, after = one.before(2), one.after(2)
    if before[-1:].isalnum() or before[-1:] in {"_", "+", "$", "€", "£", "@", "="} or after[:1] in {"_", "@", "%"}:
        return None
    if after[:1].isalnum() or (after[:1] in {".", ",", "/", "-", ":"} and after[1:].isdigit()):
        return None
    if before[-1:] in {".", ",", "/", "-", ":"} and before[:1].isdigit():
        return None
    value, head = one.value, one.before(_AROUND_CHARS)
    digits = sum(char.isdigit() for char in value)
    is_international = value.startswith(("+", "00", "(+"))
    if is_international and _parsed(value if "+" in value else f"+{value[2:]}", None) is not None:
        return one.found("PHONE", CERTAIN)
    if _OTHER.search(head) or _DATE.search(value):
        return None
    if _WORDS.search(head) or _WORDS.search(one.after(_AFTER_CHARS)):
        return one.found("PHONE", SAID) if 7 <= digits <= 21 else None
    if is_international or digits > 15:
        return None
    if digits < 9 or value.isdigit() or not _is_grouped(value):
        return None
    return one.found("PHONE", POSSIBLE) if any(_parsed(value, region) is not None for region in regions) else None


def _whole(one: Candidate) -> Candidate:
    """Without an opening or closing bracket that has no other side."""
    value = one.value
    if value.startswith("(") and ")" not in value:
        one = one.narrowed(1, len(value))
    return one


def _is_grouped(value: str) -> bool:
    """Whether it is written as numbers are dialled: not `1 2 3 4 5 6 7 8 9`, not `1,200.50`."""
    groups = "".join(char if char.isdigit() else " " for char in value).split()
    sizes = [len(group) for group in groups]
    if sizes == [3, 2, 4]:  # a social security number, or one that cannot be
        return False
    return 2 <= len(groups) <= 6 and 1 not in sizes[1:]


@lru_cache(maxsize=65536)
def _parsed(value: str, region: str | None) -> Any:
    """The number, where it is valid in its country; the candidate is short, whatever the text was."""
    import phonenumbers

    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def canonical(value: str) -> str:
    """The form in which two ways of writing a number are equal: its digits, `+` kept."""
    digits = "".join(char for char in value if char.isdigit())
    return f"+{digits}" if value.lstrip("( ").startswith("+") else digits
