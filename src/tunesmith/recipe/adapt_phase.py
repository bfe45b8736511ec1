"""A phase before the head's own: the encoder is pre-trained on with texts, labelled or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from tunesmith.core.kinds import one_of
from tunesmith.core.tasks import Task
from tunesmith.recipe.language import Phase
from tunesmith.recipe.sections import refused
from tunesmith.training.language.phase_config import SamplesConfig
from tunesmith.training.language.tokens_config import TokensConfig, TokensPolicy
from tunesmith.training.language.trainables_config import LanguageFullConfig
from tunesmith.training.methods.language_config import ContinuedPretrainingConfig

if TYPE_CHECKING:
    from tunesmith.training.language.phase_config import AnyMethod, AnyTrainable
else:
    AnyMethod, AnyTrainable = one_of("language_method"), one_of("language_trainable")

METHOD = "continued_pretraining"


class AdaptPhase(Phase):
    """A phase that pre-trains the base on with texts, before the head's own phase starts from it: masked tokens of an
    encoder are guessed, of a decoder the next one."""

    told_by: ClassVar[tuple[str, str]] = ("method", METHOD)
    """What tells it from the phase of the head."""

    method: AnyMethod = ContinuedPretrainingConfig()
    """The objective: `continued_pretraining`; `{kind: continued_pretraining, mask: 0.3}` masks more of the tokens."""
    trainable: AnyTrainable = LanguageFullConfig()
    """Which weights learn. Default: all of them, as Gururangan et al. 2020 adapt to a domain; of what is trained beside
    the encoder, the layer that guesses, nothing stays."""
    sources: tuple[str, ...] | None = None
    """The sources whose training rows are read, by their names. A source named here whose `columns` map no label, or
    of `kind: text`, is read by such phases alone; it must give `text`, and of `data` it gets privacy, cleaning, noise,
    language and contamination. A text that a labelled row has too counts as that row's. Null: all."""
    max_tokens: Annotated[int, Field(ge=8, strict=True)] | None = None
    """Most tokens of a row, 8 or more; null: as many as the model was made to read."""
    length_policy: TokensPolicy | None = None
    """What happens to a longer text: it becomes several rows (`split`), its start or end is cut, it is left out, or the
    run is refused. Null: `split`."""
    packing: bool = False
    """Not here: the positions of an encoder would not keep packed rows apart."""
    samples: SamplesConfig = SamplesConfig(rows=0)
    """None: below a head nothing is written."""

    @model_validator(mode="after")
    def _is_of_an_encoder(self) -> Self:
        if self.packing:
            raise refused(
                "rows are not packed in a phase before the head's: the positions of an encoder do not keep rows apart",
                seen="packing: true",
                next="leave `packing` out",
            )
        if self.trainable.kind == "head":
            raise refused(
                "only the layer that guesses would learn, and the encoder would stay as it is",
                seen="trainable: head",
                allowed="full, lora, top_layers",
                next="leave `trainable` out",
            )
        if self.samples.rows:
            raise refused(
                "nothing is written in a phase before the head's",
                seen=f"samples: {self.samples.rows}",
                next="leave it out",
            )
        return self

    def for_tokens(self, task: Task) -> TokensConfig:
        """What the stage `tokens` is given for it."""
        return TokensConfig(
            task=task,
            method=METHOD,
            max_tokens=self.max_tokens,
            length_policy=self.length_policy,
            sources=self.sources,
            held_out="validation",
        )


def is_adapting(phase: Any) -> bool:
    """Whether a phase, as it is written or read, pre-trains on."""
    if isinstance(phase, AdaptPhase):
        return True
    method = phase.get("method") if isinstance(phase, dict) else None
    return (method.get("kind") if isinstance(method, dict) else method) == METHOD
