"""The body of an answer, unpacked and parsed within bounds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

STEP_BYTES = 1 << 20
"""The most that is unpacked at a time, so that a bomb is seen before it is in memory."""


class BadBody(Exception):
    """A body that is not the JSON that was asked for."""

    def __init__(self, what: str, seen: str, way_out: str, *, may_be_cut: bool = False) -> None:
        super().__init__(what)
        self.what, self.seen, self.way_out, self.may_be_cut = what, seen, way_out, may_be_cut


def decoded(chunks: Iterable[bytes], encoding: str | None, limit: int) -> Iterator[bytes]:
    """The content of a body, at most a little more than ``limit`` bytes of it.

    Raises: BadBody for a packing that was not asked for, or one that is damaged.
    """
    encoding = (encoding or "identity").strip().lower()
    if encoding in ("identity", ""):
        yield from chunks
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise BadBody(
            "the answer is packed in a way that was not asked for",
            f"Content-Encoding: {encoding}",
            "let the server answer plainly or with gzip",
        )
    coder = zlib.decompressobj(wbits=47)
    num_bytes = 0
    try:
        for chunk in chunks:
            while chunk and num_bytes <= limit:
                content = coder.decompress(chunk, STEP_BYTES)
                chunk = coder.unconsumed_tail
                num_bytes += len(content)
                yield content
    except zlib.error as error:
        raise BadBody(
            "the packed answer is damaged", str(error), "see that the server is well", may_be_cut=True
        ) from None
    if not coder.eof and num_bytes <= limit:
        raise BadBody("the packed answer ends early", f"{num_bytes} bytes", "run it again", may_be_cut=True)


def parsed(content: bytes, content_type: str, max_depth: int) -> Any:
    """The JSON value of a body.

    Raises: BadBody for a page made for people, for what is no JSON, and for values nested too deeply.
    """
    head = content[:200].lstrip()
    if "html" in content_type.lower() or head.startswith(b"<"):
        raise BadBody(
            "the server answers with a web page, not with JSON",
            " ".join(head.decode(errors="replace").split())[:120] or content_type,
            "correct `url` (is it the API's, not the site's?), or add `auth`: a page to sign in looks like this",
        )
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep(max_depth) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise BadBody(
            "the answer is not JSON",
            f"{error}: {' '.join(head.decode(errors='replace').split())[:120] or 'no content'}",
            "correct `url` of the source",
            may_be_cut=True,
        ) from None
    if depth_of(value, max_depth) > max_depth:
        raise _too_deep(max_depth)
    return value


def depth_of(value: Any, enough: int) -> int:
    """How deeply lists and objects are nested; counting ends once it is more than ``enough``."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > enough:
            break
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth


def _too_deep(max_depth: int) -> BadBody:
    return BadBody(
        "the answer is nested too deeply", f"more than {max_depth} levels", "let the API answer with flatter records"
    )


def _refuse_constant(name: str) -> NoReturn:
    # NaN and Infinity are Python's, not JSON's.
    raise ValueError(f"{name} is no JSON value")
