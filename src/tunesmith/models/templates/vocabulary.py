"""A model's tokens: the tokenizer beside its weights, with the place of every token in the text. Loads no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tunesmith.core import digests
from tunesmith.core.errors import ModelError

NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""What transformers hands to a chat template, as far as the tokenizer has it."""


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer that adds nothing of its own, and the tokens that are no text."""

    fast: Any
    """The ``tokenizers.Tokenizer``, without padding and truncation."""
    named: Mapping[str, str]
    """``bos_token``, ``eos_token`` …: the texts of those that there are."""
    control: tuple[str, ...]
    """The texts of all tokens that are no text."""
    before: tuple[int, ...]
    """The tokens that the tokenizer itself puts in front of a text."""
    after: tuple[int, ...]
    """And those it puts behind."""
    digest: str
    """SHA-256 of tokenizer.json."""

    @cached_property
    def size(self) -> int:
        """One more than the largest id."""
        return 1 + max(self.fast.get_vocab(with_added_tokens=True).values(), default=-1)

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        unknown = self.named.get("unk_token")
        return re.compile("|".join(re.escape(one) for one in self.control if one != unknown) or "(?!)")

    def has_control(self, text: str) -> bool:
        """Whether a text holds the text of a token that is no text: the tokenizer makes that token of it."""
        return self._control_pattern.search(text) is not None

    @property
    def bos(self) -> int | None:
        """The id of the start token."""
        return self.id_of(self.named.get("bos_token"))

    @property
    def eos(self) -> int | None:
        """The id of the end token."""
        return self.id_of(self.named.get("eos_token"))

    @property
    def unknown(self) -> int | None:
        """The id that stands for what the vocabulary cannot write."""
        return self.id_of(self.named.get("unk_token"))

    @property
    def has_bos(self) -> bool:
        """Whether the model's texts begin with its start token."""
        return self.bos is not None and self.bos in self.before

    def id_of(self, token: str | None) -> int | None:
        """The id of a token's text, None where the vocabulary has it not."""
        return None if token is None else self.fast.token_to_id(token)

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """The ``tokenizers.Encoding`` of each text, nothing added: what stands in the text is all there is."""
        encoded: list[Any] = self.fast.encode_batch(list(texts), add_special_tokens=False)
        return encoded

    @classmethod
    def open(cls, folder: Path) -> Vocabulary:
        """The tokenizer of a model folder.

        Raises: ModelError where it cannot be read.
        """
        from tokenizers import Tokenizer as Fast

        path = folder / "tokenizer.json"
        try:
            fast: Any = Fast.from_file(str(path))
        except Exception as error:
            raise ModelError("the model's tokenizer.json cannot be read", seen=f"{path.name}: {error}") from error
        fast.no_padding()
        fast.no_truncation()
        named = _named(folder, fast)
        added = fast.get_added_tokens_decoder().values()
        control = {one.content for one in added if one.special} | {
            text for name, text in named.items() if name != "unk_token"
        }
        before, after = _around(fast)
        # The longest first: one may begin with another.
        longest = tuple(sorted(control, key=lambda text: (-len(text), text)))
        return cls(fast, named, longest, before, after, digests.of_file(path))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model; empty where there is no file.

    Raises: ModelError where it is no JSON.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path.name} of the model is no JSON", seen=str(error)) from error
    return value if isinstance(value, dict) else {}


def _named(folder: Path, fast: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        for name in NAMES:
            value = read_json(folder / file).get(name)
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str) and name not in found and fast.token_to_id(text) is not None:
                found[name] = text
    for file in ("generation_config.json", "config.json"):
        for name in ("bos_token", "eos_token"):
            ids = read_json(folder / file).get(f"{name}_id")
            first = ids[0] if isinstance(ids, list) and ids else ids
            if name not in found and isinstance(first, int) and (text := fast.id_to_token(first)) is not None:
                found[name] = text
    return found


def _around(fast: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer's own post-processor puts around a text."""
    encoded = fast.encode("a", add_special_tokens=True)
    inside = [place for place, is_special in enumerate(encoded.special_tokens_mask) if not is_special]
    if not inside:
        return tuple(encoded.ids), ()
    return tuple(encoded.ids[: inside[0]]), tuple(encoded.ids[inside[-1] + 1 :])
