"""Names that would leave the workspace are refused, in every spelling."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import StoreError
from tunesmith.store.paths import confined, digest, slug

_UPWARDS = ["..", "../x", "a/../../x", "..\\x", "a\\..\\..\\x", "./..", ".. ", " ..", "...", ". .", "..;/x", "../" * 20]
_ABSOLUTE = [
    "/",
    "/etc/passwd",
    "//etc/passwd",
    "\\\\host\\share",
    "C:\\x",
    "c:x",
    "Z:",
    "file:///etc/passwd",
    "~",
    "~root",
]
_EMPTY = ["", ".", " ", "  ", ". . ."]
_CONTROL = [
    "a\0",
    "\0",
    "../x\0.txt",
    "a\nb",
    "a\rb",
    "\t",
    "a\x1bb",
    "a\x7f",
    "a\x85b",
    "a\u2028b",
    "a\u200bb",
    "\ufeffa",
]
_UNICODE = [
    "\uff0e\uff0e",  # full-width dots
    "\uff0e\uff0e\uff0fx",
    "a\uff0fb",
    "a\uff3cb",
    "\u2024\u2024",
    "\u2025",
    "\u2026",
    "\u2025/x",
    "a\u202eb",
    "\u2066..\u2069",
    "\udcff",
    "a\ud800",
    "\ufe52\ufe52",
    "\uff0f",
    "\ufe68x",
    "x\u2100y",  # normalises to a/c
    "\u2048\uff0fetc",
]
_ENCODED = [
    quoted
    for plain in ("%2e%2e", "%2e%2e%2f", "..%2f", "%2f", "%5c", "%00", "..%5cx", "%2fetc%2fpasswd", "%7eroot", "a%0ab")
    for quoted in (plain, plain.upper(), plain.replace("%", "%25"), plain.replace("%", "%2525"))
] + ["%252525252525252e%252525252525252e", "%EF%BC%8E%EF%BC%8E", "%E2%80%A5", "C%3a%5cx"]
_LONG = ["a" * 256, "é" * 128, "😀" * 64]
HOSTILE = [*_UPWARDS, *_ABSOLUTE, *_EMPTY, *_CONTROL, *_UNICODE, *_ENCODED, *_LONG]


def test_there_are_about_a_hundred() -> None:
    assert len(set(HOSTILE)) >= 95


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_refused_everywhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="cannot be used as a path"):
        confined(tmp_path, name)
    with pytest.raises(StoreError, match="cannot be used as a path"):
        confined(tmp_path, "fine", name, "fine")
    with pytest.raises(StoreError, match="not a valid run id") as caught:
        slug(name, "run id")
    str(caught.value).encode()  # can be printed, whatever was given
    with pytest.raises(StoreError, match="not an artifact digest"):
        digest(name)


def test_links_cannot_lead_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (root / "out").symlink_to(outside)
    (root / "sub" / "up").symlink_to("../..")
    (root / "loop").symlink_to("loop")
    (root / "inside").symlink_to("sub")
    for parts in (["out"], ["out", "x"], ["sub", "up"], ["sub", "up", "outside"], ["loop", "x"]):
        with pytest.raises(StoreError):
            confined(root, *parts)
    assert confined(root, "inside", "x") == root / "inside" / "x"
    (tmp_path / "elsewhere").symlink_to(root)  # the root itself may be a link
    assert confined(tmp_path / "elsewhere", "sub") == root / "sub"


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "root-2")
    with pytest.raises(StoreError, match="leads out"):
        confined(tmp_path / "root", "link")


@given(st.text())
def test_whatever_is_accepted_stays_inside_as_one_name(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp().resolve()
    try:
        path = confined(root, name)
    except StoreError:
        return
    assert path.parent == root
    assert path.name == name


@pytest.mark.parametrize("name", ["default", "support-intents", "run-20261121t101010-1f", "a", "0.1_b", "a" * 128])
def test_good_names_pass(tmp_path: Path, name: str) -> None:
    assert slug(name, "run id") == name
    assert confined(tmp_path, name) == tmp_path.resolve() / name


@pytest.mark.parametrize("name", ["Default", "é", "-a", ".a", "_a", "a b", "a.", "a..b", "a" * 129, "a\n", "١"])
def test_a_slug_is_lower_case_ascii(name: str) -> None:
    with pytest.raises(StoreError, match="not a valid project name"):
        slug(name, "project name")


def test_a_digest_is_64_hex_digits() -> None:
    assert digest("0a" * 32) == "0a" * 32
    for bad in ("0A" * 32, "0a" * 31, "0a" * 32 + "\n", "../" + "0a" * 32):
        with pytest.raises(StoreError):
            digest(bad)
