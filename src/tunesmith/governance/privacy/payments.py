"""Numbers that money moves by: cards and bank accounts, told by their check digits."""

from __future__ import annotations

from tunesmith.governance.privacy.finding import CERTAIN, SAID, Candidate, Finding, Rule
from tunesmith.governance.privacy.patterns import compiled

_CARD_WORDS = compiled(
    r"\b(?:credit|debit|card|cards|cc|visa|mastercard|maestro|amex|american express|diners|discover|jcb|karte|"
    r"kreditkarte|carte|tarjeta|cart[aã]o|carta|kaart|kort|pan)\b",
    ignores_case=True,
)
_AROUND_CHARS = 60
_ISSUERS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (13, 16, 18, 19)),  # Visa
    (51, 55, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (34, 34, (15,)),  # American Express
    (37, 37, (15,)),
    (6011, 6011, (16, 17, 18, 19)),  # Discover
    (644, 659, (16, 17, 18, 19)),
    (300, 305, (14, 15, 16, 17, 18, 19)),  # Diners Club
    (309, 309, (14, 15, 16, 17, 18, 19)),
    (36, 36, (14, 15, 16, 17, 18, 19)),
    (38, 39, (14, 15, 16, 17, 18, 19)),
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (2200, 2204, (16, 17, 18, 19)),  # Mir
    (60, 60, (16,)),  # RuPay
    (5018, 5018, (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (5020, 5020, (12, 13, 14, 15, 16, 17, 18, 19)),
    (5038, 5038, (12, 13, 14, 15, 16, 17, 18, 19)),
    (56, 58, (12, 13, 14, 15, 16, 17, 18, 19)),
    (6304, 6304, (12, 13, 14, 15, 16, 17, 18, 19)),
    (6759, 6763, (12, 13, 14, 15, 16, 17, 18, 19)),
)
"""First and last of a range of leading digits, and the lengths its issuer gives (ISO/IEC 7812 tables as published by
the networks)."""


def rules() -> list[Rule]:
    """The rules of this page."""
    card = (
        r"[0-9]{4}(?:[ -][0-9]{4}){2}[ -][0-9]{1,4}(?:[ -][0-9]{1,3})?|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5}|[0-9]{12,19}"
    )
    iban = r"(?i)[a-z]{2}[0-9]{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,3})?"
    return [
        Rule(("CREDIT_CARD",), r"[0-9](?:[ -]?[0-9]){11}", compiled(card), _card),
        Rule(("IBAN",), r"(?i)\b[a-z]{2}[0-9]{2}[ -]?[a-z0-9]", compiled(iban), _iban),
    ]


def _card(one: Candidate) -> Finding | None:
    digits = one.value.replace(" ", "").replace("-", "")
    if len(digits) > 19 or not one.stands_alone or not _luhn(digits) or len(set(digits)) < 2:
        return None
    if _has_issuer(digits):
        return one.found("CREDIT_CARD", CERTAIN, True)
    around = f"{one.before(_AROUND_CHARS)} {one.after(_AROUND_CHARS)}"
    return one.found("CREDIT_CARD", SAID, True) if _CARD_WORDS.search(around) else None


def _luhn(digits: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(digits))


def _has_issuer(digits: str) -> bool:
    return any(
        low <= int(digits[: len(str(low))]) <= high and len(digits) in lengths for low, high, lengths in _ISSUERS
    )


def _iban(one: Candidate) -> Finding | None:
    from stdnum import iban

    if one.before(1).isalnum():
        return None
    # Written in groups, the words after it may look like one more group.
    while len(one.value) >= 15:
        if not one.after(1).isalnum() and iban.is_valid(one.value.upper()):
            return one.found("IBAN", CERTAIN, True)
        cut = max(one.value.rfind(" "), one.value.rfind("-"))
        if cut < 0:
            return None
        one = one.narrowed(0, cut)
    return None
