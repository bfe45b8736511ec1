"""A language model as a folder: an adapter beside its base, or whole, in forms that PEFT and transformers open."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from tunesmith.core.errors import ModelError
from tunesmith.models.adapters import merged, open_adapter, save_adapter, weights_digest
from tunesmith.models.causal import load_language
from tunesmith.models.folder import NOT_WEIGHTS, own_or_base
from tunesmith.models.language_card import card
from tunesmith.models.language_manifest import WEIGHTS, LanguageManifest
from tunesmith.models.manifest import ADAPTER, AdapterReference
from tunesmith.models.templates.template import ChatTemplate
from tunesmith.models.templates.vocabulary import Vocabulary, read_json

WRITTEN = ("config.json", "generation_config.json", "chat_template.jinja", "README.md")
"""Files of a whole folder that are made anew, never copied from the base."""


def weights_folder(manifest: LanguageManifest, model: Path, base: Path | None) -> Path:
    """The folder that holds a model's weights and tokenizer: its own, or its base's."""
    return own_or_base(model / WEIGHTS, base, "only an adapter", manifest.base.name)


def open_language(model: Path, base: Path | None) -> tuple[LanguageManifest, nn.Module, Vocabulary]:
    """A saved language model, ready to answer: its manifest, its network in evaluation mode, its vocabulary.

    An adapter is merged. Raises: ModelError where the base or the tokenizer is another than in training, or where a
    file is missing or damaged.
    """
    manifest = LanguageManifest.read(model)
    where = weights_folder(manifest, model, base)
    vocabulary = Vocabulary.open(where)
    if vocabulary.digest != manifest.tokenizer:
        raise ModelError(
            "the tokenizer beside the weights is not the one this model was trained with",
            seen=f"tokenizer.json {vocabulary.digest[:12]}",
            allowed=f"tokenizer.json {manifest.tokenizer[:12]}",
            next="put back the tokenizer.json of the base that its model.json names",
        )
    module = load_language(where)
    num_vocabulary = num_embeddings(module)
    if num_vocabulary != manifest.num_vocabulary:
        raise ModelError(
            "the weights have another vocabulary than this model was trained with",
            seen=f"{num_vocabulary:,} embeddings",
            allowed=f"{manifest.num_vocabulary:,}",
        )
    if manifest.adapter is not None:
        module = open_adapter(module, model, where, manifest.adapter)
    return manifest, module.eval(), vocabulary


def open_base(base: Path) -> tuple[nn.Module, Vocabulary]:
    """The pre-trained language model of a BASE folder and its vocabulary."""
    return load_language(base / "files"), Vocabulary.open(base / "files")


def num_embeddings(module: nn.Module) -> int:
    """Rows of a language model's embedding table."""
    found: Any = module.get_input_embeddings()  # type: ignore[operator]
    return int(found.weight.shape[0])


def save_language(
    manifest: LanguageManifest,
    module: nn.Module,
    files: Path,
    template: ChatTemplate,
    folder: Path,
    *,
    ends: Iterable[int] = (),
) -> LanguageManifest:
    """Write a model and return its manifest: PEFT's model as an adapter, any other whole.

    ``files`` is the folder of the base, ``ends`` are ids that end an answer beside those the base knows.
    """
    import peft

    folder.mkdir(parents=True, exist_ok=True)
    template.write(folder)
    if isinstance(module, peft.PeftModel):
        reference = AdapterReference(base_weights=weights_digest(files))
        manifest = manifest.model_copy(update={"adapter": reference})
        save_adapter(module, manifest, folder / ADAPTER)
    else:
        manifest = manifest.model_copy(update={"adapter": None})
        save_whole(manifest, module, files, template, folder / WEIGHTS, ends=ends)
    manifest.write(folder)
    return manifest


def save_merged(
    manifest: LanguageManifest, adapted: Any, files: Path, template: ChatTemplate, folder: Path, **more: Any
) -> LanguageManifest:
    """Write PEFT's model whole, its adapters added into its weights, and return its manifest."""
    return save_language(manifest, merged(adapted), files, template, folder, **more)


def save_whole(
    manifest: LanguageManifest,
    module: Any,
    files: Path,
    template: ChatTemplate,
    folder: Path,
    *,
    ends: Iterable[int] = (),
) -> None:
    """Write a Hugging Face folder that transformers, vLLM and llama.cpp's converters open without us."""
    from transformers import GenerationConfig

    folder.mkdir(parents=True, exist_ok=True)
    generation = generation_settings(files, ends)
    # transformers refuses to save settings that contradict each other, as those of some published models do.
    module.generation_config = GenerationConfig(**_ids(generation))
    module.config.name_or_path = ""  # a folder of this machine
    module.save_pretrained(folder)
    for file in sorted(files.iterdir()):
        if file.suffix in NOT_WEIGHTS and file.name not in WRITTEN and "index" not in file.name:
            shutil.copyfile(file, folder / file.name)
    settings = read_json(folder / "tokenizer_config.json")
    if settings.pop("chat_template", None) is not None:
        _write(folder / "tokenizer_config.json", settings)  # chat_template.jinja says it, and may say something else
    _write(folder / "generation_config.json", generation)
    template.write(folder)
    (folder / "README.md").write_text(card(manifest, is_adapter=False), encoding="utf-8")


def generation_settings(files: Path, ends: Iterable[int] = ()) -> dict[str, Any]:
    """The base's generation_config.json with every id that ends an answer: its own, its tokenizer's and the
    template's."""
    settings = read_json(files / "generation_config.json") or _of_config(files)
    known = end_ids(files) | set(ends)
    return {**settings, **({"eos_token_id": sorted(known) if len(known) > 1 else min(known)} if known else {})}


def _of_config(files: Path) -> dict[str, Any]:
    """What older folders say of generation in their config.json: beside a generation_config.json nobody reads it."""
    from transformers import GenerationConfig

    known = GenerationConfig().to_dict().keys() - {"transformers_version"}
    told = read_json(files / "config.json")
    return {name: told[name] for name in sorted(known & told.keys()) if told[name] is not None and name[0] != "_"}


def end_ids(files: Path) -> frozenset[int]:
    """The ids that end an answer by what lies beside the weights: the tokenizer's end, and those of its settings."""
    eos = Vocabulary.open(files).eos
    found = set() if eos is None else {eos}
    for name in ("config.json", "generation_config.json"):
        told = read_json(files / name).get("eos_token_id")
        found |= {one for one in (told if isinstance(told, list) else [told]) if isinstance(one, int)}
    return frozenset(found)


def _ids(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name.endswith("_token_id")}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
