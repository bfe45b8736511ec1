"""What is wrong with a body of another form than asked for, in the words of who sent it and not of the checker."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from tunesmith.server.errors import Refused, shown

_ONE = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}
_MANY = {"string": "texts", "number": "numbers"}
_LIMITS = {
    "too_short": ("is too short", "at least {min_length}"),
    "string_too_short": ("is too short", "at least {min_length} characters"),
    "string_too_long": ("is too long", "at most {max_length} characters"),
}


def invalid(kind: type[BaseModel], errors: Sequence[ErrorDetails]) -> Refused:
    """The refusal of a message: a key that is not known comes first, for it is often the one that is missing."""
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    places = {place_of(kind, one["loc"]) for one in errors}
    more = "" if len(places) == 1 else f" (and {len(places) - 1} more)"
    place = place_of(kind, first["loc"])
    if first["type"] == "extra_forbidden":
        known = list(kind.model_fields)
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
        return Refused(
            422,
            f"the key `{shown(place)}` is not known{more}",
            reason="invalid",
            seen=place,
            allowed=", ".join(known),
            next=f"did you mean `{near[0]}`?" if near else None,
        )
    if first["type"] == "missing":
        return Refused(422, f"`{place}` is missing{more}", reason="invalid", allowed=", ".join(kind.model_fields))
    said, allowed = _said(kind, first)
    return Refused(422, f"`{shown(place)}` {said}{more}", reason="invalid", seen=repr(first["input"]), allowed=allowed)


def place_of(kind: type[BaseModel], location: Sequence[int | str]) -> str:
    """``texts[3]`` of a location in a message; ``body`` of the message itself. Which of several forms was tried is no
    place: of ``("value", "float")`` it is ``value``."""
    if not location:
        return "body"
    place = str(location[0])
    is_field = place in kind.model_fields
    for part in location[1:]:
        if isinstance(part, int):
            place += f"[{part}]"
        elif not is_field:
            place += f".{part}"
    return place


def _said(kind: type[BaseModel], error: ErrorDetails) -> tuple[str, str | None]:
    """What is wrong, and what would be right."""
    if error["type"] in _LIMITS:
        said, allowed = _LIMITS[error["type"]]
        return said, allowed.format(**error.get("ctx", {}))
    own = error.get("ctx", {}).get("error")
    if own is not None:
        return f"holds {own}", None
    schema = kind.model_json_schema()
    if not error["loc"]:
        return "has another form than asked for", f"an object with {', '.join(kind.model_fields)}"
    allowed = _words(schema["properties"][error["loc"][0]])
    return "has another form than asked for", allowed


def _words(schema: Mapping[str, Any]) -> str:
    """A schema in words: ``a text, a list of texts or null``."""
    forms = [_form(one) for one in schema.get("anyOf", [schema])]
    return forms[0] if len(forms) == 1 else f"{', '.join(forms[:-1])} or {forms[-1]}"


def _form(schema: Mapping[str, Any]) -> str:
    kind = str(schema.get("type"))
    if kind == "array":
        return f"a list of {_each(schema['items'])}"
    if kind == "object":
        return f"an object of {_each(schema['additionalProperties'])}"
    return _ONE[kind]


def _each(schema: Mapping[str, Any]) -> str:
    forms = [str(one["type"]) for one in schema.get("anyOf", [schema])]
    return " or ".join(_MANY.get(one, one) for one in forms)
