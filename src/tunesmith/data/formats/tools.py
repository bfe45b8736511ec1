"""Tools and the calls of them, whatever form they have, in OpenAI's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.data.formats.draft import BAD_ARGUMENTS, NO_CALL, NO_TOOLS, Call, Fault
from tunesmith.data.formats.json_cells import parsed, written


def read_tools(cell: Any) -> tuple[Mapping[str, Any], ...]:
    """The tools that a cell lists, each as ``{type: function, function: ..}``; none where it is empty.

    Raises: Fault where it holds something else.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return ()
    listed = parsed(cell, NO_TOOLS)
    if listed is None:
        return ()
    if isinstance(listed, dict):
        listed = [listed]
    if not isinstance(listed, list):
        raise Fault(NO_TOOLS, written(listed)[:100])
    return tuple(_tool(one) for one in listed)


def _tool(one: Any) -> Mapping[str, Any]:
    # Some files hold a list of JSON texts.
    one = parsed(one, NO_TOOLS)
    if not isinstance(one, dict):
        raise Fault(NO_TOOLS, written(one)[:100])
    function = one.get("function")
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        return one if "type" in one else {"type": "function", **one}
    if isinstance(one.get("name"), str):
        return {"type": "function", "function": one}
    raise Fault(NO_TOOLS, written(one)[:100])


def read_calls(listed: Any) -> list[Call]:
    """The calls of an assistant's turn.

    Raises: Fault where one names no function or its arguments are no JSON object.
    """
    if listed is None or listed == "":
        return []
    found = parsed(listed, NO_CALL)
    return list(_calls(found if isinstance(found, list) else [found]))


def _calls(listed: list[Any]) -> Iterator[Call]:
    for one in listed:
        one = parsed(one, NO_CALL)
        function = one.get("function", one) if isinstance(one, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str) or not name:
            raise Fault(NO_CALL, written(one)[:100])
        call = {"type": "function", "function": {"name": name, "arguments": _arguments(function)}}
        yield {"id": one["id"], **call} if isinstance(one.get("id"), str) and one["id"] else call


def _arguments(function: Mapping[str, Any]) -> str:
    """Arguments as they were written where that is JSON; a call without any has the empty object."""
    given = function.get("arguments")
    if given is None or given == "":
        return "{}"
    if not isinstance(given, str):
        if not isinstance(given, dict):
            raise Fault(BAD_ARGUMENTS, written(given)[:100])
        return written(given)
    if not isinstance(parsed(given, BAD_ARGUMENTS), dict):
        raise Fault(BAD_ARGUMENTS, given[:100])
    return given
