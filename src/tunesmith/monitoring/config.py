"""What a recipe says about watching a served model: what is kept, what is tested, who is told."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, field_validator

from tunesmith.core.config import Config
from tunesmith.core.tasks import HeadTask

REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}(m|h|d|w)$")]
UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class CaptureConfig(Config):
    """Which answers of a served model are kept."""

    share: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Share of the answered texts that are kept, 0 to 1, drawn by their ids. Default: 1, all of them."""
    texts: bool = True
    """Whether the text is kept beside the answer, as the recipe's privacy rules leave it. Without texts only answers
    are watched, not what was asked. Default: true."""


class DriftConfig(Config):
    """When texts or answers count as others than those the model was made with."""

    alert_at: Annotated[float, Field(gt=0.0, le=0.5)] = 0.01
    """Chance of an alert where nothing changed, over all tests of one check together (Holm 1979), up to 0.5.
    Default: 0.01: of a hundred checks one."""
    min_effect: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """Smallest change that may alert, 0 to below 1: about the share of texts that would have to be others. With
    100,000 texts any test finds something; below this it is not worth a word. Default: 0.05."""
    min_ratio: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] = 2.0
    """How many times as often, or as rarely, a single label must be given to alert, at least 1. Default: 2, twice or
    half as often."""
    min_rows: Annotated[int, Field(ge=20, strict=True)] = 50
    """Texts below which nothing is tested, at least 20; "not enough" is said, never "no drift". Default: 50."""
    most_rows: Annotated[int, Field(ge=100, le=100_000, strict=True)] = 5000
    """Newest texts that are looked at, 100 to 100,000. Default: 5000."""
    permutations: Annotated[int, Field(ge=1000, le=100_000, strict=True)] = 5000
    """Shuffles behind the p-values of embedding and labels, 1,000 to 100,000: a p-value is never below one of them
    and one. Default: 5000."""


class FeedbackConfig(Config):
    """What is made of true labels that arrive later."""

    min_rows: Annotated[int, Field(ge=20, strict=True)] = 50
    """Rows with a true label below which no score is compared, at least 20. Default: 50."""
    new_labels: bool = False
    """Whether feedback may name a label that the model does not know; it counts as a wrong answer and is kept for
    training. Default: false, such feedback is refused."""


class WebhookConfig(Config):
    """Who is told of an alert. Each message is signed: `X-Tunesmith-Signature: sha256=…` is the HMAC of
    `<X-Tunesmith-Timestamp>.<body>` under the token."""

    url: str
    """A reference to the environment, `${env:ALERT_URL}`: the address that messages are posted to."""
    token: str
    """A reference to the environment, `${env:ALERT_TOKEN}`: the secret that messages are signed with, at least 16
    characters."""
    retries: Annotated[int, Field(ge=0, le=10, strict=True)] = 4
    """Further tries where the receiver does not answer with 2xx, each after a longer wait, 0 to 10. Default: 4."""
    repeat: Duration = "1d"
    """How long a cause that the receiver took is not told again, a number and m, h, d or w: a check every quarter of an
    hour tells it once in that time, and a new cause at once. Default: 1d."""
    allow_private: bool = False
    """Whether the receiver may stand on this machine or in a private network. Default: false."""

    @field_validator("url", "token")
    @classmethod
    def _is_reference(cls, value: str) -> str:
        if not REFERENCE.fullmatch(value):
            # What was written may be the secret itself: it is not shown.
            raise ValueError("recipes are stored, so it stands in the environment: write `${env:NAME}`")
        return value


class MonitorConfig(Config):
    """How a served model is watched."""

    capture: CaptureConfig = CaptureConfig()
    """Which answers are kept."""
    drift: DriftConfig = DriftConfig()
    """When texts or answers count as changed."""
    window: Duration = "7d"
    """How far back `tunesmith monitor` looks: a number and m, h, d or w. Default: 7d."""
    feedback: FeedbackConfig = FeedbackConfig()
    """What is made of true labels."""
    latency_p95_ms: Annotated[float, Field(gt=0.0)] | None = None
    """Alert where one request in twenty takes longer than this, in milliseconds. Null: no alert."""
    failed: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    """Alert where more than this share of requests failed, 0 to below 1. Null: no alert."""
    webhook: WebhookConfig | None = None
    """Who is told of an alert. Null: log and metrics only."""

    @field_validator("capture", mode="before")
    @classmethod
    def _share_alone(cls, capture: Any) -> Any:
        """`capture: 0.1` is short for `capture: {share: 0.1}`."""
        is_share = isinstance(capture, int | float) and not isinstance(capture, bool)
        return {"share": capture} if is_share else capture


class ReferenceConfig(Config):
    """The configuration of the stage `reference`."""

    task: HeadTask
    """The recipe's task."""
    most_rows: int = 2000
    """Rows whose vectors are kept, drawn by the seed; tests of single numbers use all rows."""


class DriftStageConfig(Config):
    """The configuration of the stage `drift`."""

    task: HeadTask
    """The recipe's task."""
    drift: DriftConfig = DriftConfig()
    """When texts or answers count as changed."""
    min_labelled: int = 50
    """Rows with a true label below which no score is compared."""
    metric: str | None = None
    """The score that is compared with the release's; null: the task's main one."""
    confidence: float = 0.95
    """Of the scores' intervals."""


def seconds_of(duration: str) -> int:
    """The seconds of `90m`, `24h`, `7d` or `2w`.

    Raises: ValueError for anything else.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,4})(m|h|d|w)", duration)
    if match is None:
        raise ValueError(f"`{duration}` is no length of time: a number and m, h, d or w, as in 7d")
    return int(match[1]) * UNITS_S[match[2]]
