"""Rows that the model cannot read, with the reason: they are counted and not measured."""

from __future__ import annotations

import polars as pl

from tunesmith.core.stage import Given
from tunesmith.evaluation.language.prompts import read_conversations
from tunesmith.models.templates.render import Refused, Renderer
from tunesmith.models.templates.template import own_template
from tunesmith.models.templates.vocabulary import Vocabulary


def left_out(given: Given, split: str) -> dict[str, str]:
    """Row id → why it was left out when the rows of the last phase became tokens: refused by the template, too long."""
    file = given["tokens"].path / f"{split}.left_out.parquet" if "tokens" in given else None
    if file is None or not file.is_file():
        return {}
    left = pl.read_parquet(file)
    return dict(zip(left["row_id"], left["reason"], strict=True))


def unread(given: Given, split: str, rows: pl.DataFrame) -> dict[str, str]:
    """Row id → why the model cannot read it; rows of sources that the last phase has not seen are asked of the model's
    template."""
    found = left_out(given, split)
    known = {*found, *_rendered(given, split)}
    rest = rows.filter(~pl.col("row_id").is_in(list(known)))
    template = own_template(given["model"].path)
    if rest.is_empty() or template is None or given["base"].facts.get("network") == "encoder_decoder":
        return found
    asked = [(row_id, one) for row_id, one in zip(rest["row_id"], read_conversations(rest), strict=True)]
    asked = [(row_id, one) for row_id, one in asked if one.prompt.turns]  # a text alone is read without the template
    if not asked:
        return found
    with Renderer(template, Vocabulary.open(given["base"].path / "files")) as renderer:
        whole = renderer.marked([(one.messages_json(), one.tools_json()) for _, one in asked], "assistant")
        prompts = renderer.prompts([one.prompt for _, one in asked])
    for (row_id, _), *answers in zip(asked, whole, prompts, strict=True):
        reason = next((one.reason for one in answers if isinstance(one, Refused)), None)
        if reason is not None:
            found[row_id] = reason
    return found


def _rendered(given: Given, split: str) -> set[str]:
    """Rows of a split that the template has been shown."""
    if "tokens" not in given or given["tokens"].facts.get("method") != "sft":
        return set()
    file = given["tokens"].path / f"{split}.rows.parquet"
    return set(pl.read_parquet(file, columns=["row_id"])["row_id"]) if file.is_file() else set()
