"""What a recipe may say about the form its rows have, and what the `format` stage is told."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tunesmith.core.config import Config
from tunesmith.core.conversation import Role
from tunesmith.core.errors import RecipeError
from tunesmith.data.formats.table import FORMATS

FormatKind = Literal["auto", "messages", "sharegpt", "alpaca", "prompt_completion", "text"]
Columns = str | Annotated[tuple[str, ...], Field(min_length=1)]


class FormatSection(Config):
    """What form the rows have. Everything is detected from the columns of each source where nothing is said; a kind
    alone may stand for the table, as `format: alpaca`."""

    kind: FormatKind = "auto"
    """The form of the rows: OpenAI's `messages`, `sharegpt`, `alpaca`, `prompt_completion` or `text`
    ([what each looks like](formats.md)). `auto`, the default, looks at the columns and what they hold."""
    columns: dict[str, Columns] = Field(default_factory=dict)
    """What the format calls it → the column, as `{prompt: question, completion: reply}`; several columns are joined
    with a blank line. Sources that differ are mapped under `columns` of each source instead. Default: found by name."""
    lists: tuple[str, ...] = ()
    """Columns whose cells are lists of texts, the paragraphs of one: joined with a blank line. Default: none, a list is
    a text like any other."""
    keys: dict[Literal["role", "content"], str] = Field(default_factory=dict)
    """What a turn of a list calls its speaker and what is said, as `{role: speaker, content: utterance}`. Default:
    `role` and `content`, or `from` and `value`."""
    roles: dict[str, Role] = Field(default_factory=dict)
    """Who speaks in the rows → `system`, `user`, `assistant` or `tool`. Default: the names in use, in any case:
    `human`, `gpt`, `model`, `observation` and others."""
    repeated_turns: Literal["merge", "refuse"] = "merge"
    """What happens to two turns of one speaker in a row, as exports of chats have them: `merge` joins them with a blank
    line and counts it, so that no word is lost and templates that want speakers to alternate take the row; `refuse`
    puts the row in quarantine. Default: merge."""

    @model_validator(mode="before")
    @classmethod
    def _one_word(cls, section: Any) -> Any:
        return {"kind": section} if isinstance(section, str) else section

    @model_validator(mode="after")
    def _roles_are_known(self) -> Self:
        """Raise RecipeError where `columns` names what no format has, or not the one that is told."""
        formats = FORMATS.values() if self.kind == "auto" else [FORMATS[self.kind]]
        roles = list(dict.fromkeys(role for one in formats for role in one.names))
        for role in self.columns:
            if role not in roles:
                near = difflib.get_close_matches(role, roles, n=1)
                has_not = "no format has" if self.kind == "auto" else f"the format `{self.kind}` has not"
                raise RecipeError(
                    f"`data.format.columns` names `{role}`, which {has_not}",
                    seen=role,
                    allowed=", ".join(roles),
                    next=f"did you mean `{near[0]}`?" if near else "write what the format calls it on the left",
                )
        return self


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
