"""Names and dates of birth, where the words around them say what they are."""

from __future__ import annotations

from tunesmith.governance.privacy.finding import LIKELY, SAID, Candidate, Finding, Judge, Rule
from tunesmith.governance.privacy.patterns import compiled

_PART = r"\p{Lu}(?:\pM|[\pL'’.-])*"
_LINK = (
    r"(?:van der|van den|van|von der|von|de la|de los|de|del|della|der|den|da|dos|do|di|du|la|le|el|al|bin|ibn|y|af|zu)"
)
NAME = rf"{_PART}(?:[ \t]+(?:{_LINK}[ \t]+)?{_PART}){{0,3}}"
_ANY_NAME = r"\pL(?:\pM|[\pL'’.-])*(?:[ \t]+\pL(?:\pM|[\pL'’.-])*){0,5}"
"""Also in small letters: then only as many words as are no words of the language."""

_SAID_BEFORE = (
    r"(?i:my (?:full |first |last |middle |maiden |real )?name(?:'s|’s| is)(?: now)?|my (?:surname|nickname)(?: is)|"
    r"(?:his|her|their|whose) (?:full |first |last |middle |maiden )?name (?:is|was)|"
    r"(?:what's|what is) your (?:full |first |last |maiden )?name\??|name on the (?:account|card|order)\??(?: is)?|"
    r"(?:was|is|been|am|are) (?:called|named)|(?:call|calls|called|named) (?:me|him|her)|under (?:the|my|his|her) name(?: of)?|"
    r"mein name ist|ich hei(?:ß|ss)e|je m'appelle|je m’appelle|mon nom est|me llamo|mi nombre es|mi chiamo|"
    r"meu nome [ée]|chamo-me|mijn naam is|ik heet|jag heter|jeg heter|jeg hedder|nazywam si[ęe]|"
    r"my (?:husband|wife|son|daughter|brother|sister|partner|colleague|manager),?)"
)
_TITLES = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Herr|Frau|Monsieur|Madame|Mme|Señora?|Sr|Sra|Signora?|Dhr|Mevr)"
_FIELDS = r"(?i:(?:full |first |last |middle |sur|customer |patient |client |contact |account holder |billing |your )?name|signed(?: by)?|attn|attention|c/o|contact person|account holder|vorname|nachname|nom|pr[ée]nom|nombre|apellidos?|cognome)"
# fmt: off
_NOT_NAMES = frozenset("""a about account again all also am an and any are as at away back bad be because being black blue bot but by can
    card change changed come completed correct correctly customer customers could day days dear did different displayed
    do does doing done everyone find fine for friend friends from get going gone good got green guys had happy has have
    having he hello help her here hi him his hoping how i if in incorrect incorrectly interested is it its john's just
    language late later like listed look looking lost madam maam made many me miss missing misspelled misspelt more
    morning most much my name need needed needs new no not now of off ok okay on one only or order our out over passed
    people please printed problem product product's question ready regarding registered right service she shown sir
    site so some sorry spelled spelt staff still support sure team thank thanks that the their them there they this
    thought to today told too trying two under unhappy up us using very want was wasn't we well were what when where
    which who why will wish with within without wondering wrong yes you your yours afternoon evening sirs colleague
    colleagues manager agent assistant sales valued hiring committee monday tuesday wednesday thursday friday saturday
    sunday january february march april may june july august september october november december english german french
    american amazon google apple facebook wow great nice welcome anyone somebody someone everybody both either kind best
    regards love cheers respect unknown none null n/a na test user guest admin address phone email date""".split())  # noqa: SIM905
# fmt: on
_DATE_VALUE = (
    r"[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}|[0-9]{1,2}(?:st|nd|rd|th|\.)?(?: of| de)? ?(?:\pL{3,10})\.?,?(?: de)? ?(?:19|20)[0-9]{2}|"
    r"\pL{3,9}\.? [0-9]{1,2}(?:st|nd|rd|th)?,? (?:19|20)[0-9]{2}|(?:19|20)[0-9]{2}年[0-9]{1,2}月[0-9]{1,2}日"
)
_BIRTH = (
    r"\b(?:born(?: on| in)?|date of birth|birth ?date|birthday(?: is)?|d\.?o\.?b\.?|geboren|geburtsdatum|geburtstag|"
    r"n[ée]e? le|date de naissance|fecha de nacimiento|nacid[oa] el|data di nascita|nat[oa] il|data de nascimento|"
    r"nascid[oa] em|geboortedatum|f[øö]dt|f[öø]delsedag)"
)


def rules() -> list[Rule]:
    """The rules of this page."""
    said = rf"{_SAID_BEFORE}[\s:,\"'“]{{1,4}}(?:{_TITLES}\.?\s+)?({_ANY_NAME})"
    titled = rf"\b(?i:{_TITLES})\.?[ \t]+({_ANY_NAME})"
    greeted = rf"(?:^|[\n\"'“>.!?])[ \t]*(?i:dear|hi|hello|hey|hallo|liebe[r]?|ch[eè]re?|estimad[oa]|ciao|hola)[ \t]+({NAME})[ \t]*(?:[,!:;.\n–-]|$)"
    closing = rf"(?i:regards|sincerely|faithfully|truly|cheers|best wishes|many thanks|thanks|thank you|gr(?:ü|ue)(?:ß|ss)en?|cordialement|saludos|saluti)[ \t]*[,.!–-]?[ \t]*\n?[ \t]*\n?[ \t]*({NAME})[ \t]*\.?(?:\n|$)"
    speaking = rf"(?:^|[^\pL])(?i:this is|i am|i'm|i’m|it's|it’s|speaking with|spoke (?:to|with)|here is)[ \t]+({_PART}[ \t]+(?:{_LINK}[ \t]+)?{_PART}|{_PART}[ \t]*(?:,|from\b|speaking\b|calling\b|here\b))"
    field = rf"(?:^|[\n;,|(>{{\t])[ \t>*?-]*{_FIELDS}[ \t]*(?:[:=#]|is\b)[ \t]*\n?[ \t]*(?:{_TITLES}\.?[ \t]+)?({_ANY_NAME})"
    header = rf"(?:^|\n)[ \t>]*(?i:from|to|cc|bcc|reply-to)[ \t]*:[ \t]*\"?({NAME})\"?[ \t]*[<\[(]"
    born = rf"{_BIRTH}[^\n]{{0,24}}?\b({_DATE_VALUE})"
    return [
        Rule(
            ("NAME",),
            r"(?i)name|call|hei(?:ß|ss)e|appelle|llamo|chiam|naam|heet|heter|hedder|nazywam|\bmy (?:husband|wife|son|daughter|brother|sister|partner|colleague|manager)",
            compiled(said),
            _said(SAID),
        ),
        Rule(("NAME",), rf"(?i)\b{_TITLES}\b", compiled(titled), _titled),
        Rule(
            ("NAME",),
            r"(?i)\b(?:dear|hi|hello|hey|hallo|lieber?|ch[eè]re?|estimad[oa]|ciao|hola)\b",
            compiled(greeted),
            _said(LIKELY),
        ),
        Rule(
            ("NAME",),
            r"(?i)regards|sincerely|faithfully|truly|cheers|wishes|thank|gr(?:ü|ue)(?:ß|ss)|cordialement|saludos|saluti",
            compiled(closing),
            _said(LIKELY),
        ),
        Rule(
            ("NAME",),
            r"(?i)\b(?:this is|i am|i['’]m|it['’]s|speaking with|spoke (?:to|with)|here is)\s",
            compiled(speaking),
            _speaking,
        ),
        Rule(("NAME",), rf"(?i){_FIELDS}[ \t]*(?:[:=#]|is\b)", compiled(field), _said(SAID)),
        Rule(("NAME",), r"(?i)\b(?:from|to|cc|bcc|reply-to)[ \t]*:", compiled(header), _said(SAID)),
        Rule(("DATE_OF_BIRTH",), rf"(?i){_BIRTH}", compiled(born, ignores_case=True), _born),
    ]


def _words(one: Candidate) -> list[tuple[int, int, str]]:
    """Start, end and text of the words of a candidate."""
    words, start = [], 0
    for word in one.value.replace("\t", " ").split(" "):
        if word:
            words.append((start, start + len(word), word))
        start += len(word) + 1
    return words


def _name(one: Candidate) -> Candidate | None:
    """The words from the first on that can be a name: capitalised, or unlike any frequent word; None where none is."""
    words = _words(one)
    if not words:
        return None
    is_capital = words[0][2][:1].isupper()
    end = 0
    for place, (_, stop, word) in enumerate(words):
        bare = word.strip(".'’-").casefold()
        if not bare or (bare in _NOT_NAMES and not (place and word[:1].isupper())):
            break
        is_link = place > 0 and bare in _LINKS
        if is_capital and not word[:1].isupper() and not is_link:
            break
        if not is_capital and place >= 2:
            break
        end = end if is_link else stop
        if word.endswith(".") and len(bare) > 2:
            break
    if not end:
        return None
    value = one.value[:end]
    end = len(value.rstrip(".'’-")) if len(value.split()[-1]) > 2 else end
    return one.narrowed(0, end)


_LINKS = frozenset(_LINK.removeprefix("(?:").removesuffix(")").replace("|", " ").split())


def _said(score: float) -> Judge:
    def judge(one: Candidate) -> Finding | None:
        found = _name(one)
        if found is None or len(found.value) < 2:
            return None
        if found.value[:1].islower() and not _is_lower_text(one):
            # Among well-written sentences a name has a capital: `my name is spelled wrong`.
            return None
        return found.found("NAME", score)

    return judge


def _is_lower_text(one: Candidate) -> bool:
    return one.text.islower()


def _titled(one: Candidate) -> Finding | None:
    head = one.before(12).rstrip(" \t.")
    title = head.split()[-1].strip("(\"'“>").casefold() if head.split() else ""
    if title == "dr" and len(one.before(24).split()) > 1 and one.before(24).split()[-2][:1].isdigit():
        return None  # 12 Elm Dr Springfield
    return _said(SAID)(one)


def _speaking(one: Candidate) -> Finding | None:
    value = one.value
    # What tells a single name from an adjective stands behind it.
    for tail in (",", "from", "speaking", "calling", "here"):
        if value.endswith(tail):
            value = value.removesuffix(tail).rstrip()
            if tail == "," and " " not in value:
                return None
    found = _name(one.narrowed(0, len(value)))
    if found is None or not found.value[:1].isupper():
        return None
    return found.found("NAME", LIKELY)


def _born(one: Candidate) -> Finding | None:
    return one.found("DATE_OF_BIRTH", SAID) if any(char.isdigit() for char in one.value) else None
