"""A tokenizer whose pieces can be written by hand: words with the space before them, signs, line breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

PIECE = r"\n| ?\w+| ?[^\w\s]|\s"


def write_word_tokenizer(
    folder: Path,
    texts: Sequence[str],
    special: Sequence[str] = (),
    *,
    bos: str | None = None,
    eos: str | None = None,
    pad: str | None = None,
    adds_bos: bool = False,
    chat_template: str | None = None,
) -> None:
    """Write tokenizer.json and tokenizer_config.json of a tokenizer that knows every piece of these texts."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors

    words = sorted({piece for text in texts for piece in re.findall(PIECE, text)})
    vocabulary = {word: place for place, word in enumerate(["<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    tokenizer.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in special])
    if adds_bos and bos:
        token = tokenizer.token_to_id(bos)
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, token)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": bos, "eos_token": eos, "pad_token": pad, "chat_template": chat_template}
    config = {name: value for name, value in named.items() if value is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
