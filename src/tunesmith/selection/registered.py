"""The registered stage: a model of this workspace, made the base of another one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.core.errors import RecipeError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.core.tasks import HEAD_TASKS, LANGUAGE_TASKS, is_language
from tunesmith.models.language_manifest import LanguageManifest
from tunesmith.models.manifest import ENCODER, ModelManifest
from tunesmith.models.manifests import read_manifest
from tunesmith.selection.config import RegisteredConfig
from tunesmith.selection.locate import Located
from tunesmith.selection.pin import inspect, pin_files

REFERENCE = re.compile(r"run:[A-Za-z0-9][\w.-]*\Z|[a-z0-9][a-z0-9_.-]*@[a-z0-9][a-z0-9_.-]*\Z")
"""``name@alias``, ``name@version`` or ``run:ID``. A Hub id has a slash, a folder is one of the disk."""


def is_reference(model: str) -> bool:
    """Whether what a recipe names as its model is one of the workspace."""
    return REFERENCE.match(model) is not None


def check_family(task: str, parent: Mapping[str, Any], reference: str) -> None:
    """Nothing, where a model of these facts can be the base of that task.

    Raises: RecipeError where it cannot.
    """
    if is_language(task) and parent.get("task") in HEAD_TASKS:
        raise RecipeError(
            f"`{task}` needs a model that writes, and this one answers with labels or numbers: it has no output layer",
            seen=f"{reference} (task: {parent['task']})",
            allowed=f"a registered model of {', '.join(LANGUAGE_TASKS)}; a folder; a Hub id",
            next=f"name the model that it was made from: `model: {dict(parent.get('base') or {}).get('name', '…')}`",
        )
    if not is_language(task) and parent.get("network") == "encoder_decoder":
        raise RecipeError(
            f"`{task}` puts a head on an encoder or a decoder, and this model is both in one",
            seen=f"{reference} (task: {parent['task']})",
            allowed="a registered model that answers with labels or numbers, or a decoder that writes",
            next="write `model: embedded`, or name an encoder",
        )


class Registered:
    """Pins a registered model as a base: its weights as they answer, adapters added into them in float32."""

    makes: ClassVar[Mapping[str, str]] = {"base": "base"}

    def __init__(self, config: RegisteredConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the base, ``parent`` among them: the model it continues, and its digest."""
        parent, under = given["parent"], given.get("base")
        manifest = read_manifest(parent.path)
        check_family(self.config.task, parent.facts, self.config.model)
        folder = context.scratch / "whole"
        shutil.rmtree(folder, ignore_errors=True)
        below = None if under is None else under.path
        if isinstance(manifest, LanguageManifest):
            files = _language_files(manifest, parent.path, below, folder)
        else:
            files = _encoder_files(manifest, parent.path, below, folder)
        located = Located(self.config.model, files)
        facts = inspect(located, self.config.task)
        if isinstance(manifest, ModelManifest):
            if manifest.trainable == "head":
                context.warn(f"only the head of {self.config.model} learned: its encoder is that of its own base")
            # What its encoder learned to be read by; the settings beside a base's weights are not all kept with it.
            shape = manifest.network
            facts |= {"pooling": shape.pooling, "is_normalized": shape.is_normalized}
        facts["parent"] = {
            "model": self.config.model,
            "digest": parent.digest,
            "task": manifest.task,
            "trainable": manifest.trainable,
            "is_merged": manifest.adapter is not None,
            "base": manifest.base.model_dump(),
        }
        facts["files"] = pin_files(located, context.out / "base" / "files")
        text = json.dumps(facts, indent=1, sort_keys=True)
        (context.out / "base" / "base.json").write_text(text + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        return {"base": facts}


def _language_files(manifest: LanguageManifest, model: Path, base: Path | None, folder: Path) -> Path:
    """The folder of a language model's whole weights: its own, or made in ``folder`` where an adapter was kept."""
    from tunesmith.models.language_folder import open_language, save_whole, weights_folder
    from tunesmith.models.templates.template import own_template

    files = weights_folder(manifest, model, base)
    if manifest.adapter is None:
        return files
    if manifest.network == "encoder":
        _, module, _ = open_language(model, base)
        ends: frozenset[int] = frozenset()
    else:
        from tunesmith.engines.generation import GenerationEngine

        engine = GenerationEngine.open(model, base)
        module, ends = engine.module, engine.ends
        engine.close()
    template = own_template(model)
    assert template is not None  # it is written with every language model
    save_whole(manifest, module, files, template, folder, ends=ends)
    return folder


def _encoder_files(manifest: ModelManifest, model: Path, base: Path | None, folder: Path) -> Path:
    """The folder of a head model's encoder: its own, its base's, or made in ``folder`` where an adapter was kept."""
    from tunesmith.models.folder import encoder_folder, open_model, save_encoder

    files = encoder_folder(manifest, model, base)
    if manifest.adapter is None:
        return files
    _, network, _ = open_model(model, base)
    save_encoder(network.encoder, files, folder / ENCODER)
    return folder / ENCODER
