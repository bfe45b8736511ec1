"""An engine that runs a language model in this process: it writes answers, and scores texts that are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from tunesmith.core.conversation import Conversation
from tunesmith.core.engine import Answer, Capability, GenerationOptions, Request
from tunesmith.core.errors import ModelError, TunesmithError
from tunesmith.engines.adjusting import Adjusting
from tunesmith.engines.decoding import start_id, takes_padding
from tunesmith.engines.pieces import Pieces
from tunesmith.engines.reading import Reader
from tunesmith.engines.scoring import scores
from tunesmith.engines.writing import Writing, write
from tunesmith.models.language_folder import end_ids, open_base, open_language, weights_folder
from tunesmith.models.networks import network_of, positions_of, text_part
from tunesmith.models.templates.template import ChatTemplate, choose, own_template, read_template
from tunesmith.models.templates.vocabulary import Vocabulary, read_json

WINDOW_ROWS = 256
"""Prompts sorted by length together: bounds memory, and the wait for the first answer."""
BUDGET_TOKENS = 16_384
"""Places of prompts and answers held in one batch; a matter of memory, the same answers up to rounding."""


class GenerationEngine:
    """Answers ``generate`` and ``score`` requests with a loaded language model and the template it was trained with."""

    capabilities: frozenset[Capability] = frozenset({"generate", "score"})

    def __init__(self, module: nn.Module, reader: Reader, ends: frozenset[int]) -> None:
        """``ends`` are the ids that end an answer by the model's own files; the template's end is added to them."""
        self.module, self.reader = module, reader
        end = reader.end_of_turn()
        end_id = reader.vocabulary.id_of(end) if end else None
        self.ends = ends if end_id is None else ends | {end_id}
        self.stop = (end,) if end and end_id is None else ()
        """The end of a turn where the vocabulary has no token for it, and the template writes it as text."""
        self._adjusting = Adjusting(module, self.ends, start_id(module) if reader.is_encoder_decoder else None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of the answers: settings of the model that are not followed."""
        told = ", ".join(f"{name} {value}" for name, value in self._adjusting.left_out.items())
        return (f"generation_config.json asks for what is not done here, answers are without it: {told}",) * bool(told)

    @classmethod
    def open(cls, model_path: Path, base_path: Path | None) -> GenerationEngine:
        """The engine for a MODEL folder; ``base_path`` is its BASE folder, needed where only an adapter was trained.

        Raises: ModelError where the template beside the model is not the one it was trained with.
        """
        manifest, module, vocabulary = open_language(model_path, base_path)
        template = own_template(model_path)
        if template is None or template.digest != manifest.template.digest:
            raise ModelError(
                "the model's chat template is not the one it was trained with",
                seen="no chat_template.jinja" if template is None else f"digest {template.digest[:12]}",
                allowed=f"digest {manifest.template.digest[:12]}",
                next="put back the model's own chat_template.jinja, or train with the other one",
            )
        return cls.opened(module, vocabulary, template, weights_folder(manifest, model_path, base_path))

    @classmethod
    def open_base(cls, base_path: Path, task: str, template: str = "auto") -> GenerationEngine:
        """The engine for a BASE folder as it came, with the template that training with this choice would take.

        ``template`` is ``auto``, ``chatml``, ``plain`` or the path of a file.
        """
        module, vocabulary = open_base(base_path)
        text = None if template in ("auto", "chatml", "plain") else read_template(Path(template))
        chosen = choose(base_path / "files", vocabulary, choice=template, task=task, text=text)
        return cls.opened(module, vocabulary, chosen, base_path / "files")

    @classmethod
    def opened(cls, module: nn.Module, vocabulary: Vocabulary, template: ChatTemplate, files: Path) -> GenerationEngine:
        """The engine for a network that is loaded already; ``files`` is a Hugging Face folder that describes it."""
        settings = text_part(read_json(files / "config.json"))
        network = network_of(settings)
        if network == "encoder":
            raise ModelError("this model is an encoder and cannot write text", seen=settings.get("model_type"))
        is_seq2seq = network == "encoder_decoder"
        reader = Reader(template, vocabulary, max_positions=positions_of(settings), is_encoder_decoder=is_seq2seq)
        return cls(module, reader, end_ids(files))

    def submit(self, request: Request) -> _Run:
        """The answers, in order of length within windows of 256 prompts.

        ``generate`` goes on from each conversation, or from each text as it stands. Raises: TunesmithError for what
        cannot be asked; while it is read DataError for a conversation that the template refuses.
        """
        if request.capability not in self.capabilities:
            raise TunesmithError(
                "this engine cannot do that", seen=request.capability, allowed=", ".join(sorted(self.capabilities))
            )
        if request.texts and request.conversations:
            raise TunesmithError("a request holds texts or conversations", seen="both")
        return _Run(self, request, self._options(request.options))

    def refusals(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """For each conversation why it cannot be read; None where it can."""
        return self.reader.refusals(conversations)

    def stream(self, conversation: Conversation, options: GenerationOptions | None = None) -> Pieces:
        """The answer to one conversation in pieces, as they are written.

        Raises: DataError where the template refuses it.
        """
        options = self._options(options)
        [writing] = self._writings(0, [conversation], (), options)
        steps = write(self.module, [writing], options, self.ends, self.reader.text_of)
        return Pieces(writing, steps, options.stop, self.reader.text_of)

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[Answer]:
        """The scores of rows of ``tokens`` and ``weights``, as training reads them; of an encoder-decoder's rows
        ``source`` is read first, and where there is none the tokens before the first weighted one.

        Answers' values: the sum of weighted log-probabilities, the sum of weights, the bytes of the weighted text.
        """
        rows = [self.reader.apart(row) for row in rows]
        for one in scores(self.module, rows, self.reader.max_positions):
            tokens, weights = rows[one.place]["tokens"], rows[one.place]["weights"]
            num_bytes = float(self.reader.num_bytes(tokens, weights))
            yield Answer(one.place, (one.log_probability, one.weight, num_bytes), len(tokens))

    def close(self) -> None:
        """Drop the weights, and end the template's process."""
        self.reader.close()
        del self.module

    def _generate(self, run: _Run, window: slice) -> Iterator[Answer]:
        writings = self._writings(
            window.start, run.request.conversations[window], run.request.texts[window], run.options
        )
        for part in _batches(writings, is_mixed=takes_padding(self.module)):
            done: set[int] = set()
            for told in write(self.module, part, run.options, self.ends, self.reader.text_of, lambda: run.is_cancelled):
                for one in told:
                    if one.finish and one.index not in done:
                        done.add(one.index)
                        yield _answer(one)
            if run.is_cancelled:
                return

    def _score(self, run: _Run, window: slice) -> Iterator[Answer]:
        conversations, texts = run.request.conversations[window], run.request.texts[window]
        rows = self.reader.rows(conversations) if conversations else [self.reader.text_row(text) for text in texts]
        fitted = [self.reader.fitted(row) for row in rows]
        for answer in self.score_rows(fitted):
            if run.is_cancelled:
                return
            lost = sum(len(rows[answer.index][name]) - len(ids) for name, ids in fitted[answer.index].items())
            lost -= len(rows[answer.index]["weights"]) - len(fitted[answer.index]["weights"])
            yield replace(answer, index=window.start + answer.index, num_truncated_tokens=lost)

    def _writings(
        self, start: int, conversations: Sequence[Conversation], texts: Sequence[str], options: GenerationOptions
    ) -> list[Writing]:
        read = self.reader
        prompts = read.prompt_ids(conversations) if conversations else [read.text_ids(text) for text in texts]
        found = []
        for place, prompt in enumerate(prompts):
            kept, most = read.room(prompt, options.max_new_tokens)
            one = Writing(start + place, kept, most, len(prompt) - len(kept))
            one.adjust, one.forces_end = self._adjusting.of(kept, most), self._adjusting.forces_end
            found.append(one)
        return found

    def _options(self, options: GenerationOptions | None) -> GenerationOptions:
        options = options or GenerationOptions()
        if options.max_new_tokens < 1 or options.temperature < 0 or not 0 < options.top_p <= 1 or options.seed < 0:
            raise TunesmithError(
                "these options of generation cannot be",
                seen=options,
                allowed="max_new_tokens 1 or more, temperature 0 or more, top_p above 0 to 1, seed 0 or more",
            )
        return replace(options, stop=(*(one for one in options.stop if one), *self.stop))


class _Run:
    """The answers to one request, made while they are read."""

    def __init__(self, engine: GenerationEngine, request: Request, options: GenerationOptions) -> None:
        self._engine, self.request, self.options = engine, request, options
        self.is_cancelled = False

    def __iter__(self) -> Iterator[Answer]:
        do = self._engine._generate if self.request.capability == "generate" else self._engine._score
        for start in range(0, max(len(self.request.texts), len(self.request.conversations)), WINDOW_ROWS):
            yield from do(self, slice(start, start + WINDOW_ROWS))
            if self.is_cancelled:
                return

    def cancel(self) -> None:
        """Stop before the next token."""
        self.is_cancelled = True


def _batches(writings: Sequence[Writing], *, is_mixed: bool) -> list[list[Writing]]:
    """Answers that are written together, the longest prompts first; of one length each unless ``is_mixed``."""
    parts: list[list[Writing]] = []
    longest = most = 0
    for one in sorted(writings, key=lambda one: (-len(one.prompt), one.index)):
        most = max(most, one.most)
        is_fit = parts and (len(parts[-1]) + 1) * (longest + most) <= BUDGET_TOKENS
        if is_fit and (is_mixed or len(one.prompt) == longest):
            parts[-1].append(one)
        else:
            parts.append([one])
            longest, most = len(one.prompt), one.most
    return parts


def _answer(one: Writing) -> Answer:
    finish = one.finish or "length"
    return Answer(one.index, (), len(one.ids), one.num_cut, text=one.text, finish=finish)
