"""What a recipe may say about turning conversations into tokens. Loads no torch."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import Task
from tunesmith.models.templates.template import read_template

TrainOn = Literal["assistant", "all", "last"]
TokensPolicy = Literal["truncate_left", "truncate_right", "drop", "split", "refuse"]
TokensMethod = Literal["sft", "continued_pretraining"]
BUILT_IN = ("auto", "chatml", "plain")
SUFFIX = ".jinja"


class TokensSection(Config):
    """How conversations become tokens: by which template, which of them are trained, what happens to long ones."""

    template: Annotated[str, Field(min_length=1)] = "auto"
    """The chat template: `auto` (the model's own, else ChatML for `chat` and plain text for other tasks), `chatml`,
    `plain` (what is asked, a line break, the answer, the end token), or a .jinja file. Default: auto, since a model
    answers best in the form it was trained in."""
    train_on: TrainOn = "assistant"
    """Which tokens are learned: those of every turn of an assistant with its end (`assistant`), of the last such turn
    (`last`), or all of them (`all`). A turn's own `weight` multiplies. Default: assistant."""
    max_tokens: Annotated[int, Field(ge=8, strict=True)] | None = None
    """Most tokens of a row, 8 or more; null: as many as the model can read."""
    length_policy: TokensPolicy | None = None
    """What happens to a longer row: its start or end is cut, it is left out (`drop`), it becomes several rows (`split`:
    a conversation between its exchanges, its system turn repeated; a text anywhere, each token learned once), or the
    run is refused. Each is counted. Null: `split` for continued_pretraining, where nothing is lost by it; else `drop`,
    as an answer that is cut teaches to end in the middle, and one whose question is cut teaches to invent."""

    @field_validator("template")
    @classmethod
    def _is_built_in_or_a_file(cls, template: str) -> str:
        if template not in BUILT_IN and not template.endswith(SUFFIX):
            near = difflib.get_close_matches(template, BUILT_IN, n=1)
            raise RecipeError(
                f"there is no built-in template `{template}`",
                seen=template,
                allowed=f"{', '.join(BUILT_IN)}, or the path of a {SUFFIX} file",
                next=f"did you mean `{near[0]}`?" if near else f"save the template as a {SUFFIX} file",
            )
        return template

    @property
    def template_file(self) -> str | None:
        """The path of the template, None where it is no file."""
        return None if self.template in BUILT_IN else self.template


class TokensConfig(TokensSection):
    """What the stage `tokens` is given."""

    task: Task
    """What the model is for; it decides which template a model without one gets."""
    method: TokensMethod = "sft"
    """`sft` learns answers of conversations, `continued_pretraining` whole texts. Default: sft."""
    sources: tuple[str, ...] | None = None
    """The sources whose rows are read, by their names; null: all."""
    held_out: Literal["same", "validation"] = "same"
    """What is read beside the training rows: validation and test rows of the same sources, or the validation rows of
    all sources and no test row (`validation`). Default: same."""
    template_text: str | None = None
    """The content of the template's file, read when this is built, so that a changed file changes the step; null: no
    file."""

    @model_validator(mode="before")
    @classmethod
    def _read_template(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("template_text") is not None:
            return values
        name = values.get("template", "auto")
        if not isinstance(name, str) or name in BUILT_IN:
            return values
        return {**values, "template_text": read_template(Path(name))}

    @model_validator(mode="after")
    def _agrees(self) -> TokensConfig:
        if self.policy == "split" and self.train_on == "last" and self.method == "sft":
            raise RecipeError(
                "a conversation that is split has several last turns, and `train_on: last` means one",
                seen="tokens.length_policy: split, tokens.train_on: last",
                allowed="another length_policy, or train_on: assistant",
                next="write `tokens: {length_policy: drop, train_on: last}`",
            )
        return self

    @property
    def policy(self) -> TokensPolicy:
        """The length policy, the default filled in."""
        return self.length_policy or ("split" if self.method == "continued_pretraining" else "drop")
