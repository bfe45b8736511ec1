"""A language model as a folder that others open: written, opened with transformers alone, and compared with the source.

It is done only where it reads prompts and answers as its source does; else nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.errors import ModelError, RecipeError, TunesmithError
from tunesmith.lifecycle.model import base_path, find_model
from tunesmith.lifecycle.reports import report_of, splits_of
from tunesmith.lifecycle.session import Session
from tunesmith.models.dtypes import DTYPES, Dtype, weights_dtype
from tunesmith.models.language_manifest import LanguageManifest
from tunesmith.models.manifests import read_manifest
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.files import publish_folder, reported, temporary_folder

Format = Literal["merged", "adapter"]
NUM_PROMPTS = 8
"""Test rows that the source and the export answer: the first ones."""
OWN_PROMPTS = ("Hello", "Once upon a time", "Write one sentence about the sea.", "1, 2, 3,")
"""What is asked where the rows of the model's run are gone."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how it was checked."""

    model: str
    out: str
    format: Format
    dtype: Dtype
    """In which the weights are written."""
    files: dict[str, int]
    """Bytes by name."""
    prompts: str
    """Where the prompts come from."""
    num_prompts: int
    num_tokens: int
    """Tokens of the source's greedy answers; source and export, in the same type, choose alike at every one."""
    difference: float
    """The largest difference of a logit to the source in the same type, over the spread of the source's logits."""
    tolerance: float
    rounding: float | None
    """The same to the source as it was trained, in float32; None where the export is float32 too."""
    num_same: int
    """Of these tokens, those that are the likeliest of the source as it was trained and of the export."""
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


def export(
    session: Session,
    reference: str,
    out: Path,
    format: Format = "merged",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
) -> Exported:
    """Write a model as a Hugging Face folder, or its adapter as PEFT's, and return how it was checked.

    ``dtype`` is that of a merged model's weights, ``auto`` the one its base is kept in. Raises: RecipeError for an
    output or a format that cannot be, ModelError where the export does not answer as the source does; then nothing is
    left of it.
    """
    model = find_model(session, reference)
    manifest = _language(model, reference, format)
    chosen, dtype_notes = _dtype(session, model, format, dtype)
    _check_out(out)
    where, prompts = _prompts(session, reference)
    base = base_path(session, model)
    from tunesmith.engines.exported import compare, write_export

    with temporary_folder(out.absolute().parent) as folder:
        made = folder / "export"
        write_export(model.path, base, made, format, _measured(session, reference), chosen)
        found = compare(model.path, base, made, prompts, chosen)
        if found.problem is not None:
            raise ModelError(
                "the export does not answer as its source, so it was not kept",
                seen=found.problem,
                allowed=f"the same tokens, and logits within {found.tolerance:g} of their spread",
                next="tell us: an export that differs is a defect of tunesmith or of transformers",
            )
        with reported("cannot write", out):
            if out.is_dir():
                out.rmdir()  # empty, or it would have been refused
            made.chmod(0o755)
        publish_folder(made, out.absolute())
    notes = [] if manifest.network == "decoder" else ["an encoder-decoder: prompts are read without the template"]
    return Exported(
        model=reference,
        out=str(out),
        format=format,
        dtype=chosen,
        files=_sizes(out),
        prompts=where,
        num_prompts=len(prompts),
        num_tokens=found.num_tokens,
        difference=found.difference,
        tolerance=found.tolerance,
        rounding=found.rounding,
        num_same=found.num_same,
        notes=notes + dtype_notes + found.notes,
    )


def _dtype(session: Session, model: Artifact, format: Format, asked: str) -> tuple[Dtype, list[str]]:
    """The type that weights are written in, and what to know of it.

    Raises: RecipeError for an adapter, which is written as it was trained.
    """
    if format == "adapter":
        if asked not in ("auto", "float32"):
            raise RecipeError(
                "an adapter is written as it was trained",
                seen=f"--dtype {asked}",
                allowed="float32",
                next="leave --dtype out, or write the whole model with --format merged",
            )
        return "float32", []
    known = next((one for one in DTYPES if one == asked), None)
    if known is not None:
        return known, []
    try:
        base = ArtifactStore(session.workspace, session.ledger).load(model.facts["base"]["digest"])
    except (TunesmithError, LookupError):
        return "float32", ["the base is gone, so its type is not known: written as float32"]
    return weights_dtype(base.path / "files"), []


def _sizes(out: Path) -> dict[str, int]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.stat().st_size for path in files}


def _language(model: Artifact, reference: str, format: Format) -> LanguageManifest:
    manifest = read_manifest(model.path)
    if not isinstance(manifest, LanguageManifest):
        raise RecipeError(
            "this version exports language models, and this one answers with labels or numbers",
            seen=f"task: {manifest.task}",
            next=f"its files lie in {model.path}",
        )
    if manifest.network == "encoder":
        raise RecipeError("this model is an encoder and writes no text, so an export cannot be compared with it")
    if format == "adapter" and manifest.adapter is None:
        raise RecipeError(
            "this model has no adapter: its weights were trained, or the adapter was merged",
            seen=f"trainable: {manifest.trainable}",
            allowed="--format merged",
            next=f"tunesmith export {reference} OUT",
        )
    return manifest


def _check_out(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RecipeError("the output is there already", seen=out, next=f"choose another, as {out}-2")
    if not out.absolute().parent.is_dir():
        raise RecipeError("the folder of the output does not exist", seen=out, next=f"mkdir -p {out.parent}")


def _prompts(session: Session, reference: str) -> tuple[str, Sequence[Conversation]]:
    """Test rows of the model's run, their last answer left out; prompts of our own where they are gone."""
    try:
        path = splits_of(session, reference).path / "test.parquet"
        table = pl.scan_parquet(path).select("messages", "tools").head(NUM_PROMPTS).collect()
        found = [Conversation.read(messages, tools).prompt for messages, tools in table.iter_rows()]
    except (TunesmithError, pl.exceptions.PolarsError, OSError):
        found = []
    asked = [one for one in found if one.turns]
    if asked:
        return "test rows of its run", asked
    return "prompts of our own", [Conversation((Turn("user", text),)) for text in OWN_PROMPTS]


def _measured(session: Session, reference: str) -> list[str]:
    """What the model's report says of it, as lines of its card."""
    try:
        facts = report_of(session, reference).facts
    except TunesmithError:
        return []
    scores = facts.get("metrics", {}).get("test", {})
    lines = [f"On {facts['num_rows']:,} test rows that it did not learn from:", ""]
    for name, score in sorted(scores.items()):
        low, high = score.get("low"), score.get("high")
        interval = f" [{low:.4g}, {high:.4g}]" if low is not None and high is not None else ""
        if score.get("value") is not None:
            lines.append(f"- {name}: {score['value']:.4g}{interval}")
    return lines if len(lines) > 2 else []
