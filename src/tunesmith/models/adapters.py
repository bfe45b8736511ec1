"""LoRA adapters (Hu et al. 2022) in PEFT's layers and PEFT's folder format."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tunesmith.core import digests
from tunesmith.core.errors import ModelError
from tunesmith.models.language_manifest import LanguageManifest
from tunesmith.models.manifest import ADAPTER, AdapterReference, ModelManifest

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def linear_names(encoder: nn.Module) -> list[str]:
    """The linear layers that adapters stand beside by default: all that belong to one of the encoder's layers.

    Source: Dettmers et al. 2023, section 4, who need all of them to match full fine-tuning.
    """
    return [
        name
        for name, module in encoder.named_modules()
        if _is_linear(module) and any(part.isdigit() for part in name.split("."))
    ]


def add_lora(
    encoder: nn.Module,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    rslora: bool,
    targets: Sequence[str] | None,
    dora: bool = False,
    ranks: Mapping[str, int] | None = None,
    task_type: Literal["CAUSAL_LM", "SEQ_2_SEQ_LM"] | None = None,
) -> Any:
    """The encoder with fresh adapters as PEFT's model; they alone have a gradient, and change nothing yet.

    ``ranks`` are the ranks of layers that differ, by their name or its end. Takes torch's global random state. Raises:
    ModelError where a target names no linear layer.
    """
    import peft

    known = {name: module for name, module in encoder.named_modules() if _is_linear(module)}
    _check_names("targets", targets or (), known)
    _check_names("ranks", list(ranks or ()), known)
    chosen = [name for name in known if any(_is_meant(one, name) for one in targets)] if targets else None
    named = linear_names(encoder) if chosen is None else chosen
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,  # PEFT divides by it, whole or not
        lora_dropout=dropout,
        use_rslora=rslora,
        use_dora=dora,
        rank_pattern=dict(ranks or {}),
        target_modules=named,
        # GPT-2 keeps its matrices the other way around; PEFT warns where it has to find that out itself.
        fan_in_fan_out=any(not isinstance(known[name], nn.Linear) for name in named),
        task_type=task_type,
        bias="none",
    )
    return _adapted(encoder, config)


def _check_names(key: str, asked: Sequence[str], known: Mapping[str, nn.Module]) -> None:
    if unknown := [one for one in asked if not any(_is_meant(one, name) for name in known)]:
        raise ModelError(
            f"train.trainable.{key} names layers that the model does not have",
            seen=", ".join(unknown),
            allowed=", ".join(sorted({name.rpartition(".")[2] for name in known})) + ", or the full name of one",
            next=f"leave `{key}` out for all linear layers",
        )


def _is_linear(module: nn.Module) -> bool:
    """A linear layer, or GPT-2's, which is one with its matrix turned."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def save_adapter(adapted: Any, manifest: ModelManifest | LanguageManifest, folder: Path) -> None:
    """Write an adapter as PEFT does, but the same bytes every time and without the name of a folder of this machine."""
    import peft

    folder.mkdir(parents=True, exist_ok=True)
    tensors = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
    save_file(
        {name: tensors[name].contiguous() for name in sorted(tensors)}, folder / WEIGHTS, metadata={"format": "pt"}
    )
    config = adapted.peft_config["default"].to_dict()
    base = manifest.base
    config |= {"base_model_name_or_path": base.hub_id or base.name, "revision": base.commit, "inference_mode": True}
    text = json.dumps(config, indent=1, sort_keys=True, default=_plain)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def merged(adapted: Any) -> nn.Module:
    """The encoder with its adapters added into its weights: the same answers, and no adapter any more."""
    whole: nn.Module = adapted.merge_and_unload()
    return whole


def open_adapter(encoder: nn.Module, model: Path, base: Path, adapter: AdapterReference) -> nn.Module:
    """The base's network with a saved adapter merged in.

    Raises: ModelError where the adapter was trained over another base, or cannot be read.
    """
    return merged(adapted_by(encoder, model, base, adapter))


def adapted_by(encoder: nn.Module, model: Path, base: Path, adapter: AdapterReference) -> Any:
    """The base's network with a saved adapter beside it, as PEFT's model.

    Raises: ModelError where the adapter was trained over another base, or cannot be read.
    """
    if (found := weights_digest(base)) != adapter.base_weights:
        raise ModelError(
            "this adapter was trained over another base model",
            seen=f"weights {found[:12]}",
            allowed=f"weights {adapter.base_weights[:12]}",
            next="open it with the base that its model.json names",
        )
    import peft

    # PEFT would look for a missing file on the Hub.
    if missing := [name for name in (CONFIG, WEIGHTS) if not (model / ADAPTER / name).is_file()]:
        raise ModelError("the model's adapter is not whole", seen=f"no {ADAPTER}/{', '.join(missing)}")
    try:
        settings = json.loads((model / ADAPTER / CONFIG).read_text(encoding="utf-8"))
        config: Any = peft.LoraConfig.from_peft_type(**settings)
        config.base_model_name_or_path = getattr(encoder, "name_or_path", None)  # the folder it lies in here
        with torch.random.fork_rng():  # the fresh adapter that the saved one replaces is drawn at random
            adapted = _adapted(encoder, config)
        outcome = peft.set_peft_model_state_dict(adapted, load_file(model / ADAPTER / WEIGHTS))
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError("the model's adapter cannot be loaded", seen=f"{ADAPTER}: {error}") from error
    strange = [*outcome.unexpected_keys, *(name for name in outcome.missing_keys if ".lora_" in name)]
    if strange:
        raise ModelError("the model's adapter does not fit its settings", seen=f"{ADAPTER}: {strange[0]}")
    return adapted


def weights_digest(folder: Path) -> str:
    """The digest of the weights in a Hugging Face folder."""
    return digests.of_value({path.name: digests.of_file(path) for path in sorted(folder.glob("*.safetensors"))})


def _adapted(encoder: nn.Module, config: Any) -> Any:
    import peft

    with warnings.catch_warnings():
        # PEFT asks transformers in a way that transformers is about to rename.
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        return peft.get_peft_model(encoder, config)


def _is_meant(target: str, name: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _plain(value: Any) -> Any:
    """Sets in an order of their own would be written differently in every process."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
