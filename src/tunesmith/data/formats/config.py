"""What the `format` stage is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config
from tunesmith.core.conversation import Role

Columns = str | Annotated[tuple[str, ...], Field(min_length=1)]


class FormatSection(Config):
    """How the rows of sources become conversations. Everything is detected from their columns where nothing is said."""

    format: Literal["auto", "messages", "sharegpt", "alpaca", "prompt_completion", "text"] = "auto"
    """The form the source has; `auto` (the default) looks at its columns and their values."""
    columns: dict[str, Columns] = Field(default_factory=dict)
    """What the format calls it → the source's column, as `{prompt: question, completion: reply}`; several columns are
    joined with a blank line. Default: detected by name."""
    lists: tuple[str, ...] = ()
    """Columns whose cells are lists of texts, the paragraphs of one: joined with a blank line. Default: none, a list is
    a text like any other."""
    keys: dict[Literal["role", "content"], str] = Field(default_factory=dict)
    """How a turn of a list calls who speaks and what is said, as `{role: speaker, content: utterance}`. Default: `role`
    and `content`, or `from` and `value`."""
    roles: dict[str, Role] = Field(default_factory=dict)
    """Who speaks in the source → `system`, `user`, `assistant` or `tool`. Default: the names that are in use, in any
    case: `human`, `gpt`, `model`, `observation`, ..."""
    repeated_turns: Literal["merge", "refuse"] = "merge"
    """What happens to two turns of one speaker in a row, as exports of chats have them: `merge` joins them with a blank
    line and counts it, so that no word is lost and templates that want speakers in turn take the row; `refuse` puts the
    row among the refused ones. Default: merge."""


class FormatConfig(FormatSection):
    """How the rows of one source become conversations."""

    source: str = ""
    """The source's name in the recipe, for messages."""
    method: Literal["sft", "continued_pretraining"] = "sft"
    """What the rows are for: `sft` takes questions with answers where a source has both, `continued_pretraining` takes
    its texts. Default: sft."""
    unicode: bool = True
    """Repair text read in the wrong encoding, HTML entities and control characters, as `data.clean.unicode` does.
    Default: on."""
    whitespace: bool = True
    """Remove invisible characters, blank lines before a content and white space after it; line ends become `\\n`. Line
    ends and spaces inside stay: code, lists and tables are made of them. Default: on."""
