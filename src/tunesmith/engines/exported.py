"""Exports of language models: written, then opened with transformers and PEFT alone and compared with the source.

Shapes: T tokens, V ids of the vocabulary.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tunesmith.core.conversation import Conversation
from tunesmith.core.engine import GenerationOptions
from tunesmith.core.errors import ModelError
from tunesmith.engines.decoding import start_id
from tunesmith.engines.generation import GenerationEngine
from tunesmith.engines.writing import Writing, write
from tunesmith.models.adapters import adapted_by, merged
from tunesmith.models.causal import load_language
from tunesmith.models.dtypes import Dtype, cast
from tunesmith.models.language_card import card
from tunesmith.models.language_folder import save_whole, weights_folder
from tunesmith.models.language_manifest import LanguageManifest
from tunesmith.models.manifest import ADAPTER
from tunesmith.models.templates.template import own_template
from tunesmith.models.templates.vocabulary import Vocabulary

TOLERANCE = 5e-4
"""Largest difference of a logit over the spread of all: some thousand roundings of float32, which adding an adapter
into weights can take in deep models; an adapter that is missing differs by far more."""
NUM_TOKENS = 32
"""Tokens of an answer that are compared."""
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Compared:
    """How an export answers beside its source."""

    problem: str | None
    """The first difference that must not be; None where there is none."""
    num_tokens: int
    difference: float
    """The largest difference of a logit to the source in the export's type, over the spread of all."""
    tolerance: float
    rounding: float | None
    """The same to the source as it was trained; None where both are float32."""
    num_same: int
    """Tokens of the answers of the source as it was trained that are the export's likeliest too."""
    notes: list[str]


@dataclass(frozen=True)
class _Answered:
    """What the source wrote to a prompt."""

    prompt: list[int]
    ids: list[int]
    logits_TV: Tensor


def write_export(
    model: Path,
    base: Path | None,
    out: Path,
    format: Literal["merged", "adapter"],
    measured: Sequence[str] = (),
    dtype: Dtype = "float32",
) -> None:
    """Write a MODEL folder's weights whole, or its adapter, with tokenizer, template and card.

    Raises: ModelError where a weight is larger than ``dtype`` can hold.
    """
    manifest = LanguageManifest.read(model)
    template = own_template(model)
    assert template is not None  # GenerationEngine.open has refused it otherwise
    files = weights_folder(manifest, model, base)
    if format == "merged":
        engine = GenerationEngine.open(model, base)
        cast(engine.module, dtype)
        save_whole(manifest, engine.module, files, template, out, ends=engine.ends)
        engine.close()
    else:
        shutil.copytree(model / ADAPTER, out)
        for name in TOKENIZER:
            if (files / name).is_file():
                shutil.copyfile(files / name, out / name)
        template.write(out)
    text = card(manifest, is_adapter=format == "adapter", measured=measured, dtype=dtype)
    (out / "README.md").write_text(text, encoding="utf-8")


def compare(
    model: Path, base: Path | None, out: Path, conversations: Sequence[Conversation], dtype: Dtype = "float32"
) -> Compared:
    """The source's greedy answers, read by source and export: each token and logit of them side by side.

    The source is the model as it was trained, its adapter beside the base's weights, and not what was written. Where
    the export has another type, the source is merged, held against itself, and then rounded as the export was.
    """
    source = _source(model, base)
    refusals = source.refusals(conversations)
    readable = [one for one, why in zip(conversations, refusals, strict=True) if why is None]
    prompts = source.reader.prompt_ids(readable)
    exported = _exported(source, base, out)
    found = _Differences(_dtype_problem(exported, out, dtype) or _template_problem(source, out, readable, prompts))
    answers = [_answer(source, prompt) for prompt in prompts]
    rounding, num_same = None, sum(len(one.ids) for one in answers)
    if dtype == "float32":
        for number, one in enumerate(answers, 1):
            found.add(number, one.logits_TV, _logits(exported, source, one))
    else:
        rounding, num_same = _rounded(source, exported, answers, found)
    source.close()
    if not readable:
        found.problem = "the template refuses every prompt"
    num_refused = len(conversations) - len(readable)
    notes = [f"{num_refused} prompts that the template refuses were left out"] if num_refused else []
    num_tokens = sum(len(one.ids) for one in answers)
    return Compared(found.problem, num_tokens, found.largest, TOLERANCE, rounding, num_same, notes)


def _rounded(
    source: GenerationEngine, exported: nn.Module, answers: Sequence[_Answered], found: _Differences
) -> tuple[float, int]:
    """Hold an export of another type against the source, rounded; how far it is from the source as it was trained."""
    whole = merged(source.module) if hasattr(source.module, "merge_and_unload") else source.module
    for number, one in enumerate(answers, 1):
        found.add(number, one.logits_TV, _logits(whole, source, one))
    kind: Any = exported.dtype
    ours = dict(whole.named_parameters())
    for name, weight in exported.named_parameters():
        # Some families keep a few weights in float32 whatever the rest is in.
        ours[name].data = ours[name].data.to(kind).to(weight.dtype)
    largest, num_same = 0.0, 0
    for number, one in enumerate(answers, 1):
        theirs_TV = _logits(exported, source, one)
        found.add(number, _logits(whole, source, one), theirs_TV)
        largest = max(largest, _difference(one.logits_TV, theirs_TV))
        num_same += sum(token == best for token, best in zip(one.ids, theirs_TV.argmax(-1).tolist(), strict=False))
    return largest, num_same


class _Differences:
    """The largest difference so far, and the first that must not be."""

    def __init__(self, problem: str | None) -> None:
        self.problem, self.largest = problem, 0.0

    def add(self, number: int, ours_TV: Tensor, theirs_TV: Tensor) -> None:
        """Hold the logits of an answer against each other."""
        difference = _difference(ours_TV, theirs_TV)
        self.largest = max(self.largest, difference)
        if not difference <= TOLERANCE:
            self.problem = self.problem or f"prompt {number}: logits differ by {difference:.2g} of their spread"
        self.problem = self.problem or _token_problem(number, ours_TV, theirs_TV)


def _difference(ours_TV: Tensor, theirs_TV: Tensor) -> float:
    return float((ours_TV - theirs_TV).abs().max() / ours_TV.std().clamp(min=1e-6))


def _source(model: Path, base: Path | None) -> GenerationEngine:
    """The engine of the model as it was trained: an adapter is not merged."""
    manifest, template = LanguageManifest.read(model), own_template(model)
    if template is None:
        raise ModelError("the model's chat template is missing", seen=f"no chat_template.jinja in {model.name}")
    files = weights_folder(manifest, model, base)
    module = load_language(files)
    if manifest.adapter is not None:
        module = adapted_by(module, model, files, manifest.adapter)
    return GenerationEngine.opened(module.eval(), Vocabulary.open(files), template, files)


def _exported(source: GenerationEngine, base: Path | None, out: Path) -> nn.Module:
    """The export as anyone opens it, in the type it was written in."""
    import peft
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    is_adapter = (out / "adapter_config.json").is_file()
    files = base / "files" if is_adapter and base is not None else out
    auto: Any = AutoModelForSeq2SeqLM if source.reader.is_encoder_decoder else AutoModelForCausalLM
    module: nn.Module = auto.from_pretrained(
        files,
        dtype=torch.float32 if is_adapter else "auto",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )
    if is_adapter:
        with warnings.catch_warnings():
            # PEFT asks transformers in a way that transformers is about to rename.
            warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
            module = peft.PeftModel.from_pretrained(module, str(out), local_files_only=True, trust_remote_code=False)
    return module.eval()


def _dtype_problem(exported: nn.Module, out: Path, dtype: Dtype) -> str | None:
    """Where an export is opened in another type than it was to be written in."""
    told = str(exported.dtype).removeprefix("torch.")
    if told == dtype or (out / "adapter_config.json").is_file():
        return None
    return f"it is opened in {told} and not in {dtype}"


def _template_problem(
    source: GenerationEngine, out: Path, conversations: Sequence[Conversation], prompts: Sequence[Sequence[int]]
) -> str | None:
    """Where transformers' tokenizer, with the template beside it, reads another prompt than we do."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(out, local_files_only=True, trust_remote_code=False)
    for number, (conversation, prompt) in enumerate(zip(conversations, prompts, strict=True), 1):
        if source.reader.is_encoder_decoder:
            told = list(tokenizer("\n".join(turn.content for turn in conversation.turns)).input_ids)
        elif conversation.tools or any(turn.tool_calls for turn in conversation.turns):
            continue  # transformers hands calls to templates in a form of its own
        else:
            messages = [{"role": turn.role, "content": turn.content} for turn in conversation.turns]
            told = list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
        if told != list(prompt):
            at = next((place for place, pair in enumerate(zip(told, prompt, strict=False)) if pair[0] != pair[1]), None)
            where = f"from token {at}" if at is not None else f"{len(told)} tokens and not {len(prompt)}"
            return f"prompt {number}: transformers reads it otherwise, {where}"
    return None


def _answer(source: GenerationEngine, prompt: list[int]) -> _Answered:
    kept, most = source.reader.room(prompt, NUM_TOKENS)
    writing = Writing(0, kept, most)
    for _ in write(source.module, [writing], GenerationOptions(NUM_TOKENS), source.ends, source.reader.text_of):
        pass
    answered = _Answered(kept, writing.ids, torch.empty(0))
    return replace(answered, logits_TV=_logits(source.module, source, answered))


def _logits(module: nn.Module, source: GenerationEngine, answered: _Answered) -> Tensor:
    """The logits (T + 1, V) that chose each token of an answer, and what comes after it."""
    kept, ids = answered.prompt, answered.ids
    with torch.inference_mode():
        if source.reader.is_encoder_decoder:
            before = torch.tensor([[start_id(source.module), *ids]])
            logits_TV: Tensor = module(input_ids=torch.tensor([kept]), decoder_input_ids=before).logits[0]
        else:
            limit = source.reader.max_positions or len(kept) + len(ids)
            logits_TV = module(input_ids=torch.tensor([[*kept, *ids][:limit]])).logits[0, len(kept) - 1 :]
    return logits_TV.float()


def _token_problem(number: int, ours_TV: Tensor, theirs_TV: Tensor) -> str | None:
    """Where the likeliest token is another; a tie within the tolerance is none."""
    best_T, other_T = ours_TV.argmax(-1), theirs_TV.argmax(-1)
    for place in torch.nonzero(best_T != other_T).flatten().tolist():
        gap = float(ours_TV[place, best_T[place]] - ours_TV[place, other_T[place]])
        if gap > TOLERANCE * float(ours_TV.std()):
            return f"prompt {number}: token {place + 1} is {int(other_T[place])} and not {int(best_T[place])}"
    return None
