"""What every recipe has: where rows come from, what it is called, how it is released."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, WrapValidator, field_validator
from pydantic_core import PydanticCustomError

from tunesmith.core.config import Config
from tunesmith.core.kinds import gathered, one_of
from tunesmith.core.tasks import Task
from tunesmith.data.derive_config import Expression
from tunesmith.data.joins_config import JoinConfig
from tunesmith.data.noise_config import ContaminationConfig, LanguageConfig, NoiseConfig
from tunesmith.data.normalise.config import Normal
from tunesmith.data.prepare_config import CleanConfig, Rule, SplitConfig
from tunesmith.data.sources.config import LABEL_COLUMN
from tunesmith.governance.privacy.config import NOT_SCANNED, Action, PrivacyConfig, PrivacyStageConfig

if TYPE_CHECKING:
    from tunesmith.data.sources.config import SourceConfig as AnySource
else:
    AnySource = one_of("source")

Gathered = WrapValidator(gathered)
ModelName = Annotated[str, Field(min_length=1)]
# What the registry takes for a name: no two dots in a row and none at the end, or a run is refused after its training.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*$", max_length=64)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]


def refused(what: str, **more: str) -> PydanticCustomError:
    """A validation error with its way out, for validators of the recipe's sections."""
    return PydanticCustomError("tunesmith", "{what}", {"what": what, **more})


class RowsSection(Config):
    """Where rows come from, what is done to them and how they are divided."""

    sources: Annotated[tuple[Annotated[AnySource, Gathered], ...], Field(min_length=1)]
    """The sources of rows, one or more; `kind` says what each is. A name left out is the kind and a number: `csv-1`."""
    clean: Annotated[CleanConfig, Gathered] = CleanConfig()
    """Repairs and duplicates. Every default is on."""
    rules: tuple[Annotated[Rule, Gathered], ...] = ()
    """What valid rows look like; a row that breaks a rule is put in quarantine with the reason. Default: no rules."""
    privacy: Annotated[Literal["off"] | PrivacyConfig, Gathered] = PrivacyConfig()
    """Personal data in the rows: found in every source before anything else, shown, and blocked, redacted or
    pseudonymised where `on_pii` says so; `privacy: redact` is short for `privacy: {on_pii: redact}`. `off`: not looked
    for."""
    split: Annotated[SplitConfig, Gathered] = SplitConfig()
    """How rows are divided into training, validation and test rows. Splits that are given stay as given."""
    joins: tuple[Annotated[JoinConfig, Gathered], ...] = ()
    """Tables that add columns to the rows by a key, in this order. A table left without a name is `table-1`, ….
    Default: none."""
    normalise: dict[str, Annotated[Normal, Gathered]] = {}  # noqa: RUF012
    """Column → how its values are written in one way; after joins. Default: none."""
    derive: dict[str, Expression] = {}  # noqa: RUF012
    """Column → the expression it is computed by ([its functions](expressions.md)), in this order and after `normalise`:
    `text` and `label` may be derived too. Default: none."""
    noise: Annotated[NoiseConfig, Gathered] = NoiseConfig()
    """Texts that cannot be learned from: links only, struck keys, lines that repeat."""
    language: Annotated[LanguageConfig | None, Gathered] = None
    """The language of every text, counted, written to a column, and kept or not; `{}` counts and writes. Null: not
    looked at."""
    contamination: Annotated[ContaminationConfig | None, Gathered] = ContaminationConfig()
    """Rows of train and validation that repeat or hold a test row are removed and counted. Null: only equal ones."""

    @field_validator("privacy", mode="before")
    @classmethod
    def _one_word(cls, privacy: Any) -> Any:
        if not isinstance(privacy, str) or privacy == "off":
            return privacy
        if privacy not in (actions := get_args(Action)):
            raise refused(
                "`data.privacy` in one word is what happens to personal data",
                seen=privacy,
                allowed=", ".join(("off", *actions)),
                next="write `privacy: redact`, or a table with `on_pii`",
            )
        return {"on_pii": privacy}

    @field_validator("joins", mode="before")
    @classmethod
    def _name_tables(cls, joins: Any) -> Any:
        """Give a joined table without a name its number."""
        if not isinstance(joins, list | tuple):
            return joins
        return [
            {**join, "table": {"name": f"table-{number}"} | join["table"]}
            if isinstance(join, dict) and isinstance(join.get("table"), dict)
            else join
            for number, join in enumerate(joins, 1)
        ]

    @field_validator("sources", mode="before")
    @classmethod
    def _name_sources(cls, sources: Any) -> Any:
        """Give a source without a name its kind and its number among the sources of that kind."""
        if not isinstance(sources, list | tuple):
            return sources
        seen: Counter[str] = Counter()
        named = []
        for source in sources:
            kind = source.get("kind") if isinstance(source, dict) else None
            if isinstance(kind, str):
                seen[kind] += 1
                source = {"name": f"{kind}-{seen[kind]}"} | source
            named.append(source)
        return named


class ServeSection(Config):
    """How a released model is found."""

    alias: Name = "production"
    """The alias that moves to the newest released version: small letters, digits, `_`, `.`, `-`, but no number: numbers
    are versions. Default: production."""
    approval: Literal["none", "required"] = "none"
    """Whether a person releases it: `required` lets a model that passed its gate wait for `tunesmith approve RUN`, by
    somebody else than who ran it. Default: none, the gate releases."""

    @field_validator("alias", mode="after")
    @classmethod
    def _no_number(cls, alias: str) -> str:
        if alias.isdigit():
            raise refused("an alias cannot be a number: numbers are versions", allowed="for example `production`")
        return alias


class AnyRecipe(Config, ABC):
    """What recipes of every task have."""

    name: Name = "recipe"
    """What the model is registered as: small letters, digits, `_`, `.`, `-`, at most 64. Default: the file's name,
    or its folder's where the file is called recipe.yaml."""
    task: Task
    """What the model answers with."""
    data: RowsSection
    """Where rows come from and what is done to them."""
    serve: Annotated[ServeSection, Gathered] = ServeSection()
    """How a released model is found."""
    seed: Seed = 0
    """Where every random choice starts, 0 to 2³²-1: equal recipe, data and seed give equal results. Default: 0."""

    @property
    def read_sources(self) -> tuple[AnySource, ...]:
        """The sources that are read, in their order."""
        return self.data.sources

    @property
    def read_joins(self) -> tuple[JoinConfig, ...]:
        """The tables that are joined to their rows."""
        return self.data.joins

    @property
    @abstractmethod
    def confidence(self) -> float:
        """The confidence of intervals."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The settings of the last phase of training, with nothing left open, as JSON values."""

    def for_privacy(self, source: str, columns: Iterable[str]) -> PrivacyStageConfig | None:
        """What the stages `pii_scan` and `privacy` are given for a source; None where nobody is to look."""
        if self.data.privacy == "off":
            return None
        labels = (name for name in columns if name.startswith(LABEL_COLUMN))
        keys = dict.fromkeys(key for join in self.data.joins for key in join.on)
        groups = (*keys, *((self.data.split.group_by,) if self.data.split.group_by else ()))
        return PrivacyStageConfig(
            source=source, privacy=self.data.privacy, skip=(*NOT_SCANNED, *labels), grouped_by=groups
        )
