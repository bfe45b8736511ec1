"""A model as a folder: written in the ecosystem's formats, opened from its manifest alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tunesmith.core.errors import ModelError
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.heads import Head
from tunesmith.models.manifest import ENCODER, HEAD, ModelManifest
from tunesmith.models.tokenizer import Tokenizer

NOT_WEIGHTS = (".json", ".txt", ".model")


def new_head(manifest: ModelManifest) -> Head:
    """A head with fresh weights, of the manifest's shape; takes torch's global random state."""
    shape = manifest.network
    return Head(shape.hidden, manifest.num_outputs, shape.dropout, shape.is_normalized, shape.head)


def encoder_folder(manifest: ModelManifest, model: Path, base: Path | None) -> Path:
    """The folder that holds a model's encoder and tokenizer: its own, or its base's."""
    kept = f"only a head{' and an adapter' if manifest.adapter else ''}"
    return own_or_base(model / ENCODER, base, kept, manifest.base.name)


def own_or_base(own: Path, base: Path | None, kept: str, base_name: str) -> Path:
    """A model's own folder of weights, or its base's files where the model kept less, which ``kept`` says in words.

    Raises: ModelError where neither is there.
    """
    if own.is_dir():
        return own
    if base is None:
        raise ModelError(
            "this model needs its base model",
            seen=f"{kept}, trained over `{base_name}`",
            next="open it through the workspace that trained it",
        )
    return base / "files"


def save_model(manifest: ModelManifest, network: TextNetwork | Head, tokenizer_from: Path, folder: Path) -> None:
    """Write a model: manifest and head, and the encoder as a Hugging Face folder where it was trained."""
    folder.mkdir(parents=True, exist_ok=True)
    head = network if isinstance(network, Head) else network.head
    save_file({name: tensor.contiguous() for name, tensor in head.state_dict().items()}, folder / HEAD)
    if isinstance(network, TextNetwork):
        save_encoder(network.encoder, tokenizer_from, folder / ENCODER)
    manifest.write(folder)


def save_encoder(encoder: Any, files: Path, folder: Path) -> None:
    """Write an encoder as a Hugging Face folder, with what lies beside the weights of ``files``."""
    encoder.save_pretrained(folder)
    for file in sorted(files.iterdir()):
        if file.suffix in NOT_WEIGHTS and not (folder / file.name).exists() and "index" not in file.name:
            shutil.copyfile(file, folder / file.name)


def open_model(model: Path, base: Path | None) -> tuple[ModelManifest, TextNetwork, Tokenizer]:
    """A saved model, ready to answer: its manifest, its network in evaluation mode, its tokenizer."""
    manifest = ModelManifest.read(model)
    where = encoder_folder(manifest, model, base)
    head = new_head(manifest)
    try:
        head.load_state_dict(load_file(model / HEAD))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError("the model's head cannot be loaded", seen=f"{HEAD}: {error}") from error
    encoder = load_encoder(where)
    if manifest.adapter is not None:
        from tunesmith.models.adapters import open_adapter

        encoder = open_adapter(encoder, model, where, manifest.adapter)
    network = TextNetwork(encoder, head, manifest.network.pooling)
    return manifest, network.eval(), Tokenizer(where, manifest.length.max_tokens, manifest.length.policy)
