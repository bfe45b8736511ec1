"""National identifiers: their form, their check digits (python-stdnum), and the words that name them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunesmith.governance.privacy.config import NATIONAL
from tunesmith.governance.privacy.finding import CERTAIN, POSSIBLE, SAID, Candidate, Finding, Judge, Rule
from tunesmith.governance.privacy.patterns import compiled

_BEFORE_CHARS, _AFTER_CHARS = 60, 30


@dataclass(frozen=True)
class Identifier:
    """One national identifier."""

    entity: str
    check: str
    """The module of ``stdnum`` that knows its check digits, or ``none``."""
    pattern: str
    words: str
    """What it is called, beside it; where its form alone could be anything."""
    is_unmistakable: bool = False
    """Form and check digits together are hardly met by chance: no words are needed."""


# fmt: off
IDENTIFIERS = (
    Identifier("US_SSN", "us.ssn", r"[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}|[0-9]{9}", r"ssn|ss#|ssns|social security|soc sec"),
    Identifier("US_ITIN", "us.itin", r"9[0-9]{2}[- ]?[0-9]{2}[- ]?[0-9]{4}", r"itin|tax ?payer id\w*|taxpayer identification"),
    Identifier("UK_NHS", "gb.nhs", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", r"nhs|national health"),
    Identifier("UK_NINO", "none", r"(?i)[a-ceghj-prstw-z][a-ceghj-npr-tw-z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[a-d]", r"national insurance|nino|ni number|ni no", True),
    Identifier("DE_STEUER_ID", "de.idnr", r"[1-9][0-9][ -]?[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{3}", r"steuer\W?id\w*|steueridentifikationsnummer|idnr|tin|tax id\w*|steuernummer"),
    Identifier("FR_NIR", "fr.nir", r"(?i)[1278] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[ab]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", r"nir|s[ée]curit[ée] sociale|insee|num[ée]ro de s[ée]cu", True),
    Identifier("ES_NIF", "es.nif", r"(?i)(?:[0-9]{8}|[xyz][ -]?[0-9]{7})[ -]?[a-hj-np-tv-z]", r"dni|nif|nie", True),
    Identifier("IT_CODICE_FISCALE", "it.codicefiscale", r"(?i)[a-z]{6}[0-9]{2}[a-ehlmprst][0-9]{2}[a-z][0-9]{3}[a-z]", r"codice fiscale|cf", True),
    Identifier("NL_BSN", "nl.bsn", r"[0-9]{4}\.[0-9]{2}\.[0-9]{3}|[0-9]{3}[ .-]?[0-9]{3}[ .-]?[0-9]{3}|[0-9]{9}", r"bsn|burgerservicenummer|sofi\W?nummer"),
    Identifier("BR_CPF", "br.cpf", r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", r"cpf", True),
    Identifier("BR_CPF", "br.cpf", r"[0-9]{9}-?[0-9]{2}", r"cpf"),
    Identifier("PT_NIF", "pt.nif", r"[0-9]{3} ?[0-9]{3} ?[0-9]{3}", r"nif|contribuinte"),
    Identifier("BE_NN", "be.nn", r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}", r"rijksregister\w*|registre national", True),
    Identifier("BE_NN", "be.nn", r"[0-9]{11}", r"rijksregister\w*|registre national|num[ée]ro national|insz|niss"),
    Identifier("PL_PESEL", "pl.pesel", r"[0-9]{11}", r"pesel"),
    Identifier("SE_PERSONNUMMER", "se.personnummer", r"(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}", r"personnummer|pnr", True),
    Identifier("SE_PERSONNUMMER", "se.personnummer", r"(?:19|20)?[0-9]{10}", r"personnummer|pnr"),
    Identifier("DK_CPR", "dk.cpr", r"[0-9]{6}-?[0-9]{4}", r"cpr|cpr\W?n(?:umme)?r|personnummer"),
    Identifier("NO_FODSELSNUMMER", "no.fodselsnummer", r"[0-9]{6} ?[0-9]{5}", r"f[øo]dselsnummer|personnummer|fnr"),
    Identifier("FI_HETU", "fi.hetu", r"(?i)[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9a-fhj-npr-y]", r"hetu|henkil[öo]tunnus", True),
    Identifier("CH_AHV", "ch.ssn", r"756[. ]?[0-9]{4}[. ]?[0-9]{4}[. ]?[0-9]{2}", r"ahv|avs|oasi", True),
    Identifier("AT_SVNR", "at.vnr", r"[0-9]{4} ?[0-9]{6}", r"svnr|sv\W?nummer|sozialversicherung\w*|versicherungsnummer"),
    Identifier("IE_PPS", "ie.pps", r"(?i)[0-9]{7}[a-w][a-iw]?", r"ppsn?|personal public service", True),
    Identifier("CA_SIN", "ca.sin", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{3}", r"sin|social insurance|nas"),
    Identifier("AU_TFN", "au.tfn", r"[0-9]{3} ?[0-9]{3} ?[0-9]{2,3}", r"tfn|tax file"),
    Identifier("IN_AADHAAR", "in_.aadhaar", r"[2-9][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}|[2-9][0-9]{11}", r"aadhaar|aadhar|uidai|uid"),
    Identifier("IN_PAN", "in_.pan", r"(?i)[a-z]{3}[abcfghljpt][a-z][0-9]{4}[a-z]", r"pan|permanent account", False),
    Identifier("MX_CURP", "mx.curp", r"(?i)[a-z]{4}[0-9]{6}[hmx][a-z]{5}[0-9a-z][0-9]", r"curp", True),
    Identifier("CN_RIC", "cn.ric", r"(?i)[0-9]{17}[0-9x]", r"身份证", True),
    Identifier("TR_TCKIMLIK", "tr.tckimlik", r"[1-9][0-9]{10}", r"t\.?c\.?|kimlik|tckn"),
    Identifier("ZA_ID", "za.idnr", r"[0-9]{6} ?[0-9]{4} ?[0-9]{3}", r"identity number|id number|id no|rsa id"),
    Identifier("RO_CNP", "ro.cnp", r"[1-9][0-9]{12}", r"cnp|cod numeric"),
    Identifier("CZ_RC", "cz.rc", r"[0-9]{6}/[0-9]{3,4}", r"rodn[eé] [cč][ií]slo|r[cč]", True),
    Identifier("CL_RUT", "cl.rut", r"(?i)[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9k]", r"rut|run", True),
    Identifier("HR_OIB", "hr.oib", r"[0-9]{11}", r"oib"),
)
# fmt: on
_NO_NINO = {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def rules(countries: Sequence[str]) -> list[Rule]:
    """The rules of this page; of countries that are named, bare digits with the right check digit are enough."""
    made = [_rule(one, bool(countries)) for one in IDENTIFIERS if not countries or NATIONAL[one.entity] in countries]
    return [*made, *_papers()]


def _rule(one: Identifier, is_named: bool) -> Rule:
    words = compiled(rf"(?:^|[^\pL\pN])(?:{one.words})(?:$|[^\pL\pN])", ignores_case=True)
    check = _check(one.check)
    score = CERTAIN if one.is_unmistakable else POSSIBLE

    def judge(candidate: Candidate) -> Finding | None:
        if not candidate.stands_alone or not check(candidate.value):
            return None
        is_said = bool(words.search(candidate.before(_BEFORE_CHARS)) or words.search(candidate.after(_AFTER_CHARS)))
        if is_said:
            return candidate.found(one.entity, CERTAIN, True)
        # A social security number has no check digit, but nobody else writes 3-2-4.
        has_form = one.entity == "US_SSN" and not candidate.value.isdigit()
        if one.is_unmistakable or is_named or has_form:
            return candidate.found(one.entity, score, one.is_unmistakable)
        return None

    needs_words = not (one.is_unmistakable or is_named or one.entity == "US_SSN")
    gate = rf"(?i)\b(?:{one.words})\b" if needs_words else f"(?:{one.pattern})"
    return Rule((one.entity,), gate, compiled(one.pattern), judge)


def _check(module: str) -> Callable[[str], bool]:
    if module == "none":
        return lambda value: value[:2].upper() not in _NO_NINO

    def is_valid(value: str) -> bool:
        try:
            return bool(importlib.import_module(f"stdnum.{module}").is_valid(value.upper()))
        except (ValueError, IndexError):  # some modules trip over what is no date
            return False

    return is_valid


def _papers() -> list[Rule]:
    """Papers whose numbers have no check digit: only where a word names them."""
    driver = (
        r"(?i)\b(?:driver'?s?'?|driving)[ -]licen[cs]e(?: (?:number|no\.?|num|id))?(?: is)?\s?[:#]?\s*"
        r"([a-z0-9](?:[- ]?[a-z0-9]){4,18})"
    )
    passport = r"(?i)\bpass(?:port|eport|aporte|aporto)(?: (?:number|no\.?|num))?(?: is)?\s?[:#]?\s*([a-z0-9]{6,12})"
    return [
        Rule(("DRIVER_LICENSE",), r"(?i)licen[cs]e", compiled(driver), _paper("DRIVER_LICENSE")),
        Rule(("PASSPORT",), r"(?i)pass(?:port|eport|aport)", compiled(passport), _paper("PASSPORT")),
    ]


def _paper(entity: str) -> Judge:
    def judge(one: Candidate) -> Finding | None:
        end = len(one.value)
        # A pattern that allows spaces takes the next words with it: the last piece with a digit ends the number.
        while end and not any(char.isdigit() for char in one.value[:end].split(" ")[-1]):
            end = one.value[:end].rfind(" ")
            if end < 0:
                return None
        one = one.narrowed(0, end)
        num_digits = sum(char.isdigit() for char in one.value)
        return one.found(entity, SAID) if num_digits >= 4 else None

    return judge
