"""Small things to train on: encoders with random weights and real tokenizers, labelled rows, and a step's context."""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.config import Config
from tunesmith.core.errors import Interrupted
from tunesmith.core.source import Source
from tunesmith.core.stage import Given

Family = Literal["bert", "roberta", "distilbert"]
FAMILIES: tuple[Family, ...] = ("bert", "roberta", "distilbert")
Decoder = Literal["llama", "qwen2", "qwen3", "mistral", "gemma", "phi", "gpt2"]
DECODERS: tuple[Decoder, ...] = ("llama", "qwen2", "gpt2")
"""Grouped keys and rotary positions; biases and tied embeddings; learned positions and tied embeddings."""
CONTEXT = 256
HIDDEN = 32
MAX_TOKENS = 32

LABELS = ("card", "refund", "transfer")
WORDS = {
    "card": ["card", "pin", "chip", "blocked", "swallowed", "contactless"],
    "refund": ["refund", "money", "back", "returned", "shop", "item"],
    "transfer": ["transfer", "account", "abroad", "pending", "iban", "friend"],
}
FILLERS = [
    "please",
    "my",
    "the",
    "is",
    "not",
    "can",
    "you",
    "help",
    "today",
    "why",
    "still",
    "again",
    "now",
    "we",
    "to",
]


def sentences(num_rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of 2 to 20 words and their labels: every label has words of its own among words that all share."""
    rng = random.Random(seed)
    texts, labels = [], []
    for row in range(num_rows):
        label = LABELS[row % len(LABELS)]
        words = [*rng.choices(FILLERS, k=rng.randint(1, 16)), *rng.choices(WORDS[label], k=rng.randint(1, 4))]
        rng.shuffle(words)
        texts.append(" ".join(words))
        labels.append(label)
    return texts, labels


@functools.cache
def encoder(family: Family) -> Path:
    """A Hugging Face folder of that family: config, safetensors and tokenizer.json; made once a session."""
    folder = Path(tempfile.mkdtemp(prefix=f"tiny-{family}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_encoder(family, folder)
    return folder


def write_encoder(family: Family, folder: Path, seed: int = 0, **changes: Any) -> None:
    """Write such a folder; ``changes`` go into its config."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _byte_pairs() if family == "roberta" else _word_pieces()
    tokenizer.save(str(folder / "tokenizer.json"))
    size: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size()}
    if family == "distilbert":
        size |= {"dim": HIDDEN, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": MAX_TOKENS}
        config = transformers.DistilBertConfig(**(size | changes))
        kind = transformers.DistilBertModel
    else:
        size |= {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        is_bert = family == "bert"
        size["max_position_embeddings"] = MAX_TOKENS if is_bert else MAX_TOKENS + 2
        config = (transformers.BertConfig if is_bert else transformers.RobertaConfig)(**(size | changes))
        kind = transformers.BertModel if is_bert else transformers.RobertaModel
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    kind(config).save_pretrained(folder)
    torch.random.set_rng_state(state)


def write_masked_encoder(family: Family, folder: Path) -> Path:
    """Write such a folder, its tokenizer with a mask token, and return it."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(encoder(family) / "tokenizer.json"))
    tokenizer.add_special_tokens(["[MASK]"])
    write_encoder(family, folder, vocab_size=tokenizer.get_vocab_size())
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@functools.cache
def decoder(family: Decoder = "llama") -> Path:
    """A Hugging Face folder of a decoder of that family; made once a session."""
    folder = Path(tempfile.mkdtemp(prefix=f"tiny-{family}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_decoder(folder, family)
    return folder


def write_decoder(
    folder: Path, family: Decoder = "llama", seed: int = 0, template: str | None = None, **changes: Any
) -> None:
    """Write a tiny decoder with random weights; ``changes`` go into its config.

    Its tokens are bytes and a few pairs of them, ``<s>``, ``</s>`` (also eos), ``<pad>`` and ChatML's two; its context
    is 256.
    """
    import transformers

    tokenizer = _write_language_tokenizer(folder, template)
    size: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size(), "pad_token_id": 0, "bos_token_id": 1}
    size["eos_token_id"] = 2
    if family == "gpt2":
        size |= {"n_embd": HIDDEN, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
    else:
        size |= {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        size |= {"num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
    if family in ("gemma", "qwen3"):
        size["head_dim"] = 8
    if family == "qwen2":
        size["tie_word_embeddings"] = True
    config = transformers.AutoConfig.for_model(family, **(size | changes))
    _write_weights(folder, transformers.AutoModelForCausalLM.from_config, config, seed)


def write_seq2seq(folder: Path, seed: int = 0, family: Literal["t5", "bart"] = "t5", **changes: Any) -> None:
    """Write a tiny encoder-decoder with random weights and the tokens of ``write_decoder``."""
    import transformers

    tokenizer = _write_language_tokenizer(folder, None)
    size: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size(), "d_model": HIDDEN, "pad_token_id": 0}
    size |= {"eos_token_id": 2, "decoder_start_token_id": 0}
    if family == "t5":
        size |= {"d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
    else:
        size |= {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
        size |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": CONTEXT}
        size |= {"bos_token_id": 1, "forced_eos_token_id": None}
    config = transformers.AutoConfig.for_model(family, **(size | changes))
    _write_weights(folder, transformers.AutoModelForSeq2SeqLM.from_config, config, seed)


def _write_weights(folder: Path, make: Callable[[Any], Any], config: Any, seed: int) -> None:
    import torch

    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    make(config).save_pretrained(folder)
    torch.random.set_rng_state(state)


def _write_language_tokenizer(folder: Path, template: str | None) -> Any:
    """Write a byte-level tokenizer that adds nothing of itself, and say in its settings which tokens are special."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    special = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[AddedToken(one, special=True, normalized=False) for one in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(60)[0], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    settings |= {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return tokenizer


def _word_pieces() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    pieces += sorted({*FILLERS, *itertools.chain(*WORDS.values())} - set(pieces))
    tokenizer = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _byte_pairs() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(60)[0], trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def artifact(name: str, kind: str, path: Path, facts: Mapping[str, Any]) -> Artifact:
    """An artifact as a stage is given it."""
    return Artifact(kind, f"digest-of-{name}", path, facts, MadeBy(f"key-of-{name}", kind, 0))


def base(family: Family = "bert", folder: Path | None = None) -> Artifact:
    """The BASE artifact of a tiny encoder, as the base stage would pin it."""
    from tunesmith.selection.locate import Located
    from tunesmith.selection.pin import inspect

    files = folder or encoder(family)
    home = Path(tempfile.mkdtemp(prefix="tiny-base-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "files").symlink_to(files)
    return artifact("base", "base", home, inspect(Located(family, files)))


def splits(folder: Path, rows: Mapping[str, tuple[Sequence[str], Sequence[Any]]], task: str = "classify") -> Artifact:
    """The SPLITS artifact of texts and labels by split name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train", "validation", "test"):
        texts, labels = rows.get(name, ([], []))
        pl.DataFrame(
            {
                "row_id": [f"{name}-{row}" for row in range(len(texts))],
                "text": pl.Series(texts, dtype=pl.String),
                "label": pl.Series(labels, dtype=pl.String if task == "classify" else pl.Float64),
            }
        ).write_parquet(folder / f"{name}.parquet")
    facts = {
        "task": task,
        "labels": sorted({label for _, labels in rows.values() for label in labels}) if task == "classify" else [],
        "splits": {name: len(rows.get(name, ([], []))[0]) for name in ("train", "validation", "test")},
    }
    return artifact("splits", "splits", folder, facts)


def labelled(folder: Path, num_train: int = 24, num_validation: int = 9, num_test: int = 6) -> Artifact:
    """SPLITS of classify."""
    sizes = {"train": num_train, "validation": num_validation, "test": num_test}
    return splits(folder, {name: sentences(size, seed=seed) for seed, (name, size) in enumerate(sizes.items())})


def train_config(task: Literal["classify", "tag", "regress"] = "classify", **changes: Any) -> Any:
    """The train stage's config: small, float32 and written out, so that results do not hang on the machine."""
    from tunesmith.training.config import TrainConfig

    settings: dict[str, Any] = {
        "batch": 8,
        "epochs": 2,
        "precision": "float32",
        "microbatch_tokens": 4096,
        "optimizer": {"kind": "adamw", "lr": 1e-3},
        "head_lr": 1e-2,
    }
    return TrainConfig.model_validate(settings | changes).for_task(task)


@dataclass
class FakeContext:
    """A step's context that keeps what was said, and interrupts when ``stop`` says so (called after every step)."""

    folder: Path
    seed: int = 0
    stop: Callable[[], bool] = lambda: False
    project: str = "default"
    warnings: list[str] = field(default_factory=list)
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.out, self.scratch = self.folder / "out", self.folder / "scratch"
        self.out.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(parents=True, exist_ok=True)

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Nobody watches."""

    def metric(self, step: int, **values: float) -> None:
        self.metrics.append((step, values))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def check_cancelled(self) -> None:
        if self.stop():
            raise Interrupted("stopped by the test")

    def source(self, config: Config) -> Source:
        raise NotImplementedError("training reads no sources")

    def subject_key(self) -> bytes:
        return b"k" * 32

    def step(self, kind: str, config: Config, given: Given) -> Mapping[str, Artifact]:
        raise NotImplementedError("training starts no steps")


def layers(config: Any, given: Given, folder: Path) -> Artifact:
    """The ACTIVATIONS artifact that training the top layers reads."""
    from tunesmith.training.layers import Layers

    context = FakeContext(folder)
    facts = Layers(config.layers()).run(given, context)["activations"]
    return artifact("layers", "activations", context.out / "activations", facts)


@dataclass(frozen=True)
class Trained:
    """What the train stage left."""

    facts: Mapping[str, Any]
    path: Path
    history: list[dict[str, Any]]
    files: Mapping[str, bytes]
    """Every file of the model and the history by its relative name."""

    @property
    def losses(self) -> list[float]:
        """The training loss of each optimizer step."""
        return [line["loss"] for line in self.history if "loss" in line]


def train(config: Any, given: Given, context: FakeContext) -> Trained:
    """Run the train stage and read what it left."""
    from tunesmith.training.stage import Train

    return left_by(Train(config).run(given, context), context)


def left_by(facts: Mapping[str, Any], context: FakeContext) -> Trained:
    """What a stage that trains left in its context."""
    files = {
        file.relative_to(context.out).as_posix(): file.read_bytes()
        for file in sorted(context.out.rglob("*"))
        if file.is_file()
    }
    history = [json.loads(line) for line in files["history/history.jsonl"].splitlines()]
    return Trained(facts["model"], context.out / "model", history, files)


def stop_after(num_steps: int) -> Callable[[], bool]:
    """For ``FakeContext.stop``: true at the ``num_steps``-th call, and from then on."""
    calls = itertools.count(1)
    return lambda: next(calls) >= num_steps
