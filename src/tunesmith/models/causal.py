"""Language models from a folder that has been checked: decoders, encoder-decoders, and encoders that fill in."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from tunesmith.core.errors import ModelError
from tunesmith.models.networks import network_of
from tunesmith.models.pretrained import load_pretrained, read_config

AGAIN = "copy or download the model again"


def load_causal(folder: Path) -> nn.Module:
    """The decoder of a Hugging Face folder with its language head, in float32 and evaluation mode.

    Tied embeddings are one tensor, as in the folder. Raises: ModelError where weights cannot be read or some are
    missing, or where the folder holds another kind of model.
    """
    from transformers import AutoModelForCausalLM

    config = read_config(folder)
    if config.is_encoder_decoder:
        raise ModelError("this is an encoder-decoder, not a decoder", seen=config.model_type, next="load_seq2seq")
    if network_of(config.to_dict()) == "encoder":
        # transformers would open a BERT as a decoder that it never was.
        raise ModelError(
            "this model is an encoder and cannot write text",
            seen=config.model_type,
            allowed="decoders such as Llama, Qwen, Mistral, Gemma, Phi, GPT-2; encoder-decoders such as T5, BART",
            next="name such a model under `model`",
        )
    return load_pretrained(AutoModelForCausalLM, folder, config, next=AGAIN)


def load_seq2seq(folder: Path) -> nn.Module:
    """The encoder-decoder of a Hugging Face folder with its language head, in float32 and evaluation mode."""
    from transformers import AutoModelForSeq2SeqLM

    config = read_config(folder)
    if not config.is_encoder_decoder:
        raise ModelError("this is a decoder, not an encoder-decoder", seen=config.model_type, next="load_causal")
    return load_pretrained(AutoModelForSeq2SeqLM, folder, config, next=AGAIN)


def load_masked(folder: Path) -> nn.Module:
    """The encoder of a Hugging Face folder with the head that guesses masked tokens."""
    from transformers import AutoModelForMaskedLM

    return load_pretrained(AutoModelForMaskedLM, folder, read_config(folder), next=AGAIN)


def load_language(folder: Path) -> nn.Module:
    """The language model of a Hugging Face folder, whichever kind it is."""
    config = read_config(folder)
    load = {"encoder": load_masked, "decoder": load_causal, "encoder_decoder": load_seq2seq}
    return load[network_of(config.to_dict())](folder)
