"""What is known by its form on the internet: addresses of mail, pages and machines, and of wallets."""

from __future__ import annotations

import ipaddress

from tunesmith.governance.privacy.finding import CERTAIN, LIKELY, POSSIBLE, Candidate, Finding, Rule
from tunesmith.governance.privacy.patterns import compiled

_TOP_LEVELS = (
    "com|org|net|edu|gov|int|mil|info|biz|name|io|ai|co|dev|app|me|tv|eu|uk|us|de|fr|es|it|nl|be|at|ch|se|no|dk|fi|pl|"
    "pt|ie|cz|sk|hu|ro|bg|gr|hr|si|lt|lv|ee|is|lu|ca|au|nz|in|br|mx|ar|cl|za|jp|cn|kr|ru|ua|tr|il|sg|hk|tw|online|shop|"
    "store|site|xyz|cloud|tech|blog|news|agency"
)
_END_MARKS = ".,;:!?'\"*_~…"
_PAIRS = {")": "(", "]": "[", "}": "{", ">": "<"}


def rules() -> list[Rule]:
    """The rules of this page."""
    mail = r"[\pL\pN_][\pL\pN_.%+'-]{0,63}@(?:[\pL\pN](?:[\pL\pN-]{0,61}[\pL\pN])?\.){1,8}[\pL]{2,24}"
    page = r"(?i)\b(?:(?:https?|ftp)://|www\.)[^\s<>\"`|\\^{}\[\]]+"
    host = rf"(?i)(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.){{1,4}}(?:{_TOP_LEVELS})\b(?:/[^\s<>\"`|\\^{{}}\[\]]*)?"
    ip6 = r"(?:[0-9A-Fa-f]{1,4}|:)(?::[0-9A-Fa-f]{0,4}){2,8}(?:\.[0-9]{1,3}){0,3}"
    return [
        Rule(("EMAIL",), "@", compiled(mail), _mail),
        Rule(("URL",), r"(?i)://|www\.", compiled(page), _page),
        Rule(("URL",), r"(?i)[a-z0-9]\.[a-z]{2}", compiled(host), _host),
        Rule(("IP_ADDRESS",), r"[0-9]\.[0-9]+\.[0-9]+\.", compiled(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"), _ip4),
        Rule(("IP_ADDRESS",), r"[0-9A-Fa-f]?:[0-9A-Fa-f]*:", compiled(ip6), _ip6),
        Rule(
            ("MAC_ADDRESS",),
            r"[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.",
            compiled(
                r"[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
            ),
            lambda one: one.found("MAC_ADDRESS", CERTAIN, True) if one.stands_alone else None,
        ),
        Rule(
            ("CRYPTO",),
            r"[13bB][a-zA-HJ-NP-Z0-9]{24}",
            compiled(r"\b(?:[13][a-km-zA-HJ-NP-Z1-9]{25,34}|(?i:bc1)[a-zA-Z0-9]{11,71})\b"),
            _bitcoin,
        ),
        Rule(
            ("CRYPTO",),
            r"0x[0-9a-fA-F]{40}",
            compiled(r"\b0x[0-9a-fA-F]{40}\b"),
            lambda one: one.found("CRYPTO", LIKELY),
        ),
    ]


def _mail(one: Candidate) -> Finding | None:
    # `.@`, `..` stand in no address; a local part may not end in a dot.
    local = one.value.split("@")[0]
    if ".." in local or local.endswith("."):
        return None
    return one.found("EMAIL", CERTAIN, True)


def _trimmed(one: Candidate) -> Candidate:
    """Without the marks of the sentence around it."""
    value = one.value
    end = len(value)
    while end and (
        value[end - 1] in _END_MARKS
        or (
            value[end - 1] in _PAIRS
            and value.count(_PAIRS[value[end - 1]], 0, end) < value.count(value[end - 1], 0, end)
        )
    ):
        end -= 1
    return one.narrowed(0, end)


def _page(one: Candidate) -> Finding | None:
    one = _trimmed(one)
    host = one.value.split("://")[-1].removeprefix("www.")
    return one.found("URL", CERTAIN, True) if "." in host or host.startswith("localhost") else None


def _host(one: Candidate) -> Finding | None:
    one = _trimmed(one)
    if one.before(1)[-1:] in {"@", ".", "/", "-", "_"} or one.before(1).isalnum() or one.after(1) in {"@", "_", "-"}:
        return None
    name, _, path = one.value.partition("/")
    labels = name.split(".")
    # `end.In` and `etc.it`: a sentence that lacks a space is far more frequent than such a host.
    if not path and (any(label != label.lower() for label in labels) or (len(labels[-1]) < 3 and len(labels) < 3)):
        return None
    if all(label.isdigit() for label in labels[:-1]):
        return None
    return one.found("URL", POSSIBLE)


def _ip4(one: Candidate) -> Finding | None:
    if not one.stands_alone:
        return None
    try:
        address = ipaddress.IPv4Address(one.value)
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified:
        return None
    # 1.2.3.4 may be a chapter or a version as well.
    is_small = all(int(part) < 10 for part in one.value.split("."))
    return one.found("IP_ADDRESS", POSSIBLE) if is_small else one.found("IP_ADDRESS", CERTAIN, True)


def _ip6(one: Candidate) -> Finding | None:
    if one.before(1).isalnum() or one.after(1).isalnum() or one.before(1) == ":":
        return None
    value = one.value
    if value.endswith(":") and not value.endswith("::"):
        one = one.narrowed(0, len(value) - 1)
    try:
        address = ipaddress.IPv6Address(one.value)
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified or len(one.value) < 6:
        return None
    return one.found("IP_ADDRESS", CERTAIN, True)


def _bitcoin(one: Candidate) -> Finding | None:
    from stdnum import bitcoin

    return one.found("CRYPTO", CERTAIN, True) if bitcoin.is_valid(one.value) else None
