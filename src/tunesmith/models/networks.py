"""What kind of network a config.json describes, and its sizes, whatever each family calls them. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Network = Literal["encoder", "decoder", "encoder_decoder"]

_DECODERS = """
apertus bloom codegen cohere cohere2 ctrl dbrx deepseek_v2 deepseek_v3 ernie4_5 exaone4 falcon falcon_mamba gemma gemma2
gemma3 gemma3_text glm glm4 gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite granitemoe helium hunyuan_v1_dense
jamba lfm2 llama mamba mamba2 ministral mistral mixtral mpt nemotron olmo olmo2 olmo3 olmoe openai-gpt opt persimmon phi
phi3 phimoe qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next seed_oss smollm3 stablelm starcoder2 xglm zamba zamba2
"""
DECODERS = frozenset(_DECODERS.split())
"""Model types that are decoders even where config.json names no architecture, or that of the body alone."""

HIDDEN = ("hidden_size", "dim", "d_model", "n_embd")
LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer", "encoder_layers")
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
_RELATIVE = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers", "bloom", "mpt"})
"""Model types whose positions are distances: there is no last one, whatever config.json says of training."""
LANGUAGE_HEADS = ("lm_head.weight", "embed_out.weight", "lm_head.decoder.weight")


def text_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the part that reads text: of families that also see or hear, they lie one level below."""
    nested = config.get("text_config")
    return {**config, **nested} if isinstance(nested, Mapping) else dict(config)


def network_of(config: Mapping[str, Any]) -> Network:
    """Whether a model encodes, writes, or writes from what another part of it has encoded."""
    if config.get("is_encoder_decoder"):
        return "encoder_decoder"
    architectures = [str(one) for one in config.get("architectures") or []]
    is_causal = any(one.endswith(("ForCausalLM", "LMHeadModel")) for one in architectures)
    is_decoder = bool(config.get("is_decoder")) or config.get("model_type") in DECODERS
    return "decoder" if is_causal or is_decoder else "encoder"


def first_of(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of these settings that there is."""
    found = (config.get(name) for name in names)
    return next((one for one in found if isinstance(one, int) and one > 0), None)


def positions_of(config: Mapping[str, Any]) -> int | None:
    """The number of places a model can read; None where there is no last one."""
    return None if config.get("model_type") in _RELATIVE else first_of(config, _POSITIONS)


def is_tied(config: Mapping[str, Any], tensors: frozenset[str]) -> bool:
    """Whether the tokens' embeddings are also the language head: there is no other head in the weight files, or the
    config says that what lies there is a copy."""
    has_head = any(name.endswith(LANGUAGE_HEADS) for name in tensors)
    return not has_head or config.get("tie_word_embeddings") is True
