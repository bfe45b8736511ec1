"""Street addresses: a house number beside what streets are called, with the lines that belong to it."""

from __future__ import annotations

from tunesmith.governance.privacy.finding import LIKELY, POSSIBLE, SAID, Candidate, Finding, Rule
from tunesmith.governance.privacy.patterns import compiled

_WORD = r"(?:\p{Lu}(?:\pM|[\pL'’.-])*|[0-9]{1,3}(?:st|nd|rd|th))"
_KINDS = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Circle|Cir|Place|Pl|Square|Sq|Terrace|"
    r"Ter|Trail|Trl|Parkway|Pkwy|Highway|Hwy|Way|Close|Crescent|Cres|Grove|Gardens|Mews|Row|Walk|Hill|Rise|Quay|Wharf|"
    r"Alley|Plaza|Loop|Pike|Turnpike|Crossing|Ridge|Heights|Park|Green|Esplanade|Promenade)"
)
_UNIT = r"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|Box|Bldg|Building)"
_UNITS = rf"(?:,?\s{{1,3}}(?i:{_UNIT})\.?\s?#?[0-9A-Za-z-]{{1,6}}){{0,3}}"
_GERMANIC = (
    r"\p{Lu}\pL{2,24}(?:stra(?:ß|ss)e|str\.|strasse|weg|platz|allee|gasse|ring|damm|ufer|straat|laan|gracht|plein|kade|dijk|"
    r"gatan|vägen|vej|gade|veien|vegen|gata|katu|tie|stræde|allé|gränd|krogen)"
)
_ROMANCE = (
    r"(?:Rue|Avenue|Boulevard|Bd|Place|Chemin|Allée|Quai|Impasse|Route|Cours|Calle|C/|Avenida|Avda\.?|Av\.|Plaza|Paseo|"
    r"Carrera|Via|Viale|Piazza|Corso|Vicolo|Largo|Rua|Praça|Travessa|Alameda|Estrada|ul\.|Ulica|al\.|os\.)"
)
_SMALL = r"(?:de la|de los|de l'|de|du|des|del|della|dei|di|da|do|dos|das|d'|la|le|van|van de|von|am|an der|the|of)"
_NUMBER = r"(?:No\.? ?)?[0-9]{1,6}[A-Za-z]?(?:[-/][0-9]{1,5}[A-Za-z]?)?"
_TOWN = r"(?:[ \t]*[,\n]\s*(?:[A-Z]{1,2}-)?[0-9]{4,5}[ \t]+\p{Lu}[\pL'’-]{2,24}(?:[ \t]+\p{Lu}[\pL'’-]{2,24})?)"
_REST = f"{_TOWN}?"
_US_REST = r"(?:,?\s{1,3}(?:\p{Lu}[\pL'’.-]{1,20}[ \t,]{1,2}){0,3}(?:[A-Z]{2},?[ \t]{1,2})?[0-9]{5}(?:-[0-9]{4})?)"
_UK_REST = r"(?:,?\s{1,3}(?:\p{Lu}[\pL'’.-]{1,20}[ \t,]{1,2}){0,3}[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2})"
_SAID = (
    r"(?i:address(?:es)?(?: (?:is|are|with|to|of [^\n:,.]{1,40} is))?|live(?:d|s)? (?:in|at|on)|"
    r"located (?:at|in)|office is at|sent to|meet (?:me|you) at|wohnt in|return to|anschrift|adresse|direcci[óo]n|indirizzo|endereço)"
)


def rules() -> list[Rule]:
    """The rules of this page."""
    english = rf"\b{_NUMBER},?[ \t]+(?:[NSEW]{{1,2}}\.?[ \t]+)?(?:{_WORD}[ \t]+){{1,5}}(?i:{_KINDS})\b\.?{_UNITS}(?:{_UK_REST}|{_US_REST})?"
    germanic = rf"(?:\b[0-9]{{1,6}}[ \t]+)?(?:\p{{Lu}}[\pL-]{{1,24}}[ \t-])?{_GERMANIC}[ \t]+{_NUMBER}{_UNITS}{_REST}"
    apart = rf"\b(?:\p{{Lu}}[\pL-]{{1,24}}[- ]){{1,3}}(?:Stra(?:ß|ss)e|Str\.|Weg|Platz|Allee|Ring|Damm|Ufer)[ \t]+{_NUMBER}{_REST}"
    romance = rf"(?:\b{_NUMBER},?[ \t]+(?:bis |ter )?)?\b(?i:{_ROMANCE})[ \t]*(?:(?i:{_SMALL})[ \t]?){{0,2}}{_WORD}(?:[ \t]+(?:(?i:{_SMALL})[ \t]+)?{_WORD}){{0,4}}(?:{_TOWN}|,?[ \t]*(?:nº? ?|n\. ?)?[0-9]{{1,5}}{_UNITS}{_REST})?"
    units = rf"\b[0-9]{{1,6}}[ \t]+(?:[\pL\pM0-9'’.-]{{1,24}}[ \t]+){{1,5}}\s?(?i:{_UNIT})\.?[ \t]{{1,2}}#?[0-9A-Za-z-]{{1,6}}{_UNITS}"
    boxes = r"(?i)\b(?:P\.? ?O\.? ?Box|Postfach|Apartado(?: de Correos)?|Casella Postale|Boîte Postale)[ \t]+[0-9]{1,7}|\b(?:PSC|CMR|Unit)[ \t]+[0-9]{1,5},?[ \t]+Box[ \t]+[0-9]{1,6}(?:\s+(?:APO|FPO|DPO)[ \t]+(?:AA|AE|AP)(?:[ \t]+[0-9]{5})?)?|\b(?:APO|FPO|DPO)[ \t]+(?:AA|AE|AP)[ \t]+[0-9]{5}"
    said = (
        rf"{_SAID}[\s:>-]{{1,8}}([0-9]{{1,6}}[ \t]+[\pL\pM0-9'’.,/ \t-]{{3,80}}|(?i:the corner of)[ \t][^\n.]{{3,80}})"
    )
    digit_word = r"[0-9][0-9A-Za-z/-]{0,12},? +(?:[NSEW]\.? )?[\pL0-9]"
    return [
        Rule(("ADDRESS",), rf"{digit_word}[^\n]{{0,60}}(?i:{_KINDS})", compiled(english), _found),
        Rule(("ADDRESS",), rf"{_GERMANIC}[ \t]+[0-9N]", compiled(germanic), _found),
        Rule(
            ("ADDRESS",), r"(?:Stra(?:ß|ss)e|Str\.|Weg|Platz|Allee|Ring|Damm|Ufer)[ \t]+[0-9N]", compiled(apart), _found
        ),
        Rule(("ADDRESS",), rf"(?i)\b{_ROMANCE}", compiled(romance), _romance),
        Rule(("ADDRESS",), rf"[0-9][^\n]{{0,80}}\s(?i:{_UNIT})\.?[ \t]{{1,2}}#?[0-9A-Za-z]", compiled(units), _found),
        Rule(("ADDRESS",), r"(?i)\bbox\b|postfach|apartado|casella|boîte|\b[afd]po\b", compiled(boxes), _found),
        Rule(("ADDRESS",), _SAID, compiled(said), _said),
    ]


def _found(one: Candidate) -> Finding | None:
    return one.found("ADDRESS", LIKELY)


def _romance(one: Candidate) -> Finding | None:
    if not any(char.isdigit() for char in one.value):
        return None
    one = one.narrowed(0, len(one.value.rstrip(" ,")))
    return one.found("ADDRESS", POSSIBLE)


def _said(one: Candidate) -> Finding | None:
    value = one.value
    for end in (". ", "? ", " for ", " in case", " after ", ", and ", " and "):
        if not value.casefold().startswith("the corner") or end not in (" and ", ", and "):
            value = value.split(end)[0]
    value = value.rstrip(" .,\t-")
    has_word = any(len(word) > 2 and word.isalpha() for word in value.replace(",", " ").split()[1:])
    return one.narrowed(0, len(value)).found("ADDRESS", SAID) if has_word else None
