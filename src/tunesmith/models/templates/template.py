"""Which template a model is trained and asked with: its own, a file of the recipe, or one of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core import digests
from tunesmith.core.errors import ModelError
from tunesmith.models.templates import built_in
from tunesmith.models.templates.vocabulary import Vocabulary

FILE = "chat_template.jinja"
MAX_BYTES = 1_000_000
"""No template of a model known to us has a tenth of it."""


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja text that turns messages into the text a model reads."""

    name: str
    """``own``, ``chatml``, ``plain`` or the name of a file."""
    source: str
    """Where its text comes from, for people."""
    text: str
    tools_text: str | None = None
    """The text for conversations with tools, where a model has two."""

    @property
    def digest(self) -> str:
        """SHA-256 of the texts."""
        return digests.of_value([self.text, self.tools_text])

    def facts(self) -> dict[str, Any]:
        """What artifacts say of it."""
        return {"name": self.name, "source": self.source, "digest": self.digest}

    def write(self, folder: Path) -> None:
        """Save it with a model, where transformers, vLLM and we find it again."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(self.text, encoding="utf-8")
        if self.tools_text is not None:
            more = folder / "additional_chat_templates"
            more.mkdir(exist_ok=True)
            (more / "tool_use.jinja").write_text(self.tools_text, encoding="utf-8")


def choose(
    folder: Path, vocabulary: Vocabulary, *, choice: str = "auto", task: str = "chat", text: str | None = None
) -> ChatTemplate:
    """The template of a choice: ``auto``, ``chatml``, ``plain``, or a file's name with its ``text``.

    ``auto`` is the model's own; without one ``chatml`` for ``chat`` and ``plain`` for other tasks.

    Raises: ModelError where a template cannot be read.
    """
    if text is not None:
        return ChatTemplate(Path(choice).name, f"the recipe's {Path(choice).name}", _bounded(text, choice))
    if choice == "auto":
        own = own_template(folder)
        if own is not None:
            return own
        choice = "chatml" if task == "chat" else "plain"
    if choice == "plain":
        return ChatTemplate("plain", "built in", built_in.plain(has_bos=vocabulary.has_bos))
    has_end = vocabulary.id_of(built_in.IM_END) is not None or vocabulary.eos is None
    end = built_in.IM_END if has_end else None
    return ChatTemplate("chatml", "built in", built_in.chatml(has_bos=vocabulary.has_bos, end=end))


def own_template(folder: Path) -> ChatTemplate | None:
    """The template that lies beside a model, None where there is none.

    A file chat_template.jinja comes before the entry of tokenizer_config.json, as in transformers.
    """
    file = folder / FILE
    if file.is_file():
        tools = folder / "additional_chat_templates" / "tool_use.jinja"
        return ChatTemplate("own", FILE, _read(file), _read(tools) if tools.is_file() else None)
    config = folder / "tokenizer_config.json"
    if not config.is_file():
        return None
    try:
        entry = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
    except (ValueError, AttributeError) as error:
        raise ModelError("tokenizer_config.json of the model is no JSON object", seen=str(error)) from error
    if isinstance(entry, str) and entry:
        return ChatTemplate("own", config.name, _bounded(entry, config.name))
    if isinstance(entry, list):
        by_name = {one["name"]: one["template"] for one in entry if isinstance(one, dict) and "template" in one}
        if "default" in by_name:
            return ChatTemplate("own", config.name, _bounded(by_name["default"], config.name), by_name.get("tool_use"))
        if by_name:
            raise ModelError(
                "the model has several chat templates and none of them is the default",
                seen=", ".join(sorted(map(str, by_name))),
                next="save the one you mean in a file and name it: `template: my_template.jinja`",
            )
    return None


def read_template(path: Path) -> str:
    """The text of a template's file.

    Raises: ModelError where there is none.
    """
    if not path.is_file():
        raise ModelError(
            "the chat template's file is not there", seen=path, allowed="auto, chatml, plain, or a .jinja file"
        )
    return _read(path)


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise _too_large(path.name, path.stat().st_size)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError("the chat template is no UTF-8 text", seen=f"{path.name}: {error}") from error


def _bounded(text: str, name: str) -> str:
    if len(text) > MAX_BYTES:
        raise _too_large(name, len(text))
    return text


def _too_large(name: str, size: int) -> ModelError:
    return ModelError("the chat template is too large", seen=f"{name}: {size:,} bytes", allowed=f"{MAX_BYTES:,} bytes")
