"""The reference page of the recipe, made from the config classes.

``python -m tunesmith.recipe.reference > docs/recipe.md`` writes it, and with ``language`` behind it the page of
language tasks, docs/language-recipe.md; a test holds both up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tunesmith.core import wiring
from tunesmith.core.config import Config
from tunesmith.core.tasks import LANGUAGE_TASKS, TASKS
from tunesmith.evaluation.config import BASELINES
from tunesmith.evaluation.criteria import CRITERIA
from tunesmith.evaluation.language.config import LANGUAGE_BASELINES
from tunesmith.metrics import table
from tunesmith.recipe import aliases, outline, schema
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.outline import Section
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.yaml_write import flow
from tunesmith.training.vetted import MOST_EPOCHS, VETTED

HEAD = """# The recipe

Made by `python -m tunesmith.recipe.reference` from the classes that read a recipe: do not edit. Whole recipes for usual
tasks are in the [cookbook](cookbook.md).

A recipe is one YAML file. The smallest one names the task and a source:

```yaml
task: classify
data:
  sources:
    - {kind: csv, path: tickets.csv, columns: {text: message, label: intent}}
```

Everything else has a default. One that says more:

```yaml
name: support-intents                # what the model is called
task: classify
data:
  sources:
    - name: export
      kind: csv
      path: tickets.csv
      columns: {text: message, label: intent, subject: customer_id}
  rules:
    - {column: text, min_chars: 3}   # shorter texts go to quarantine
  split: {validation: 0.1, test: 0.2, group_by: subject}
model: embedded
train:
  trainable: lora                    # short for {kind: lora}
  optimizer: {kind: adamw, lr: 5e-4}
  early_stopping: {patience: 2}
gate:
  f1_macro: {better_than: [majority, tfidf]}
  accuracy: {at_least: 0.85}
```

- YAML is read by the 1.2 core schema: `2e-4` is a number, `no` and `on` are texts, `012` is 12; a key may stand once.
- Relative paths count from the recipe's folder. `${env:NAME}` is read from the environment where a key says so (`url`),
  when it is used; recipes that are stored keep the reference.
- A bare name stands for its kind: `optimizer: sgd` is `optimizer: {kind: sgd}`. `data.sources[kind: csv]` below means
  an item of `data.sources` whose `kind` is `csv`.
- `--set train.optimizer.lr=1e-4` overrides a value; `--set data.sources.export.path=new.csv` names a source by its
  name.
"""

AFTER = ("The vetted settings", "Baselines and metrics", "What a gate may ask", "Keys of other tools")
"""The headings behind the sections."""

KEYS = "| key | value | default | meaning |\n| --- | --- | --- | --- |"


LANGUAGE_HEAD = """# The recipe of language tasks

Made by `python -m tunesmith.recipe.reference language` from the classes that read a recipe: do not edit.

A recipe whose `task` is `chat`, `generate`, `summarise`, `translate` or `extract` trains a language model. The smallest
one names the task, a source and the model:

```yaml
task: generate
data:
  sources:
    - {kind: csv, path: descriptions.csv, columns: {prompt: facts, completion: text}}
model: ./my-model
```

Two phases, the second from the model of the first:

```yaml
name: minutes
task: generate
data:
  sources:
    - {name: minutes, kind: text, path: "minutes/*.txt"}
    - {name: questions, kind: jsonl, path: questions.jsonl}   # its form is detected: see formats.md
model: owner/name
train:
  - {method: continued_pretraining, sources: [minutes], trainable: full}
  - {method: sft, sources: [questions], trainable: {kind: lora, rank: 16}}
```

What is not on this page is as in [the recipe of heads](recipe.md), which also says how recipes are read. How rows
become conversations is in [formats.md](formats.md), how those become tokens in [templates.md](templates.md).
"""

Known = Mapping[tuple[type[Config], ...], tuple[str, Section]]
"""Sections by their classes, each with the page it stands on: nothing for this one."""


def render() -> str:
    """The page of recipes that a head answers, as Markdown."""
    found = outline.sections(Recipe)
    lines = [HEAD, *_contents(found, AFTER)]
    phases = {one.classes: ("language-recipe.md", one) for one in outline.sections(LanguageRecipe)}
    for section in found:
        lines += _section(section, phases | {one.classes: ("", one) for one in found})
    lines += [*_vetted(), *_evaluation(), *_criteria(), *_aliases()]
    return "\n".join(lines).rstrip() + "\n"


def render_language() -> str:
    """The page of recipes of language tasks, as Markdown; what stands on the other page is linked."""
    heads = {one.classes: ("recipe.md", one) for one in outline.sections(Recipe)}
    found = [one for one in outline.sections(LanguageRecipe) if one.classes not in heads]
    lines = [LANGUAGE_HEAD, *_contents(found, ())]
    for section in found:
        lines += _section(section, heads | {one.classes: ("", one) for one in found})
    return "\n".join(lines).rstrip() + "\n"


def _contents(found: list[Section], after: tuple[str, ...]) -> Iterator[str]:
    yield "## Contents\n"
    for key, (first, *below) in outline.by_key(found):
        links = [_link(one.path.removeprefix(f"{key}."), one.path) for one in below]
        if not key:
            yield "- [The top level](#the-top-level)"
        elif first.is_union or below:
            yield f"- **{_link(key, first.path)}**: {' · '.join(links)}" if below else f"- **{_link(key, first.path)}**"
        else:
            yield f"- **{_link(key, first.path)}**"
    for heading in after:
        yield f"- [{heading}](#{outline.anchor(heading)})"
    yield ""


def _section(section: Section, known: Known) -> Iterator[str]:
    depth = "###" if "." in section.path else "##"
    yield f"{depth} `{section.path}`\n" if section.path else f"{depth} The top level\n"
    if not section.is_union:
        (config,) = section.classes
        yield f"{section.doc(config)}\n"
        yield from _keys(section, config, section.own(config), known)
        return
    yield f"{section.about}\n"
    yield "| one of | what it is |\n| --- | --- |"
    for config in section.classes:
        name = outline.label(config)
        words = section.doc(config)
        yield f"| {_link(name, section.heading(config)) if section.own(config) else f'`{name}`'} | {_cell(words)} |"
    yield ""
    if shared := section.shared():
        yield "All of them have these keys:\n"
        yield from _keys(section, section.classes[0], shared, known)
    for config in section.classes:
        if own := section.own(config):
            yield f"{depth}# `{section.heading(config)}`\n"
            yield f"{section.doc(config)}\n"
            yield from _keys(section, config, own, known)


def _keys(section: Section, config: type[Config], keys: list[str], known: Known) -> Iterator[str]:
    if not keys:
        return
    yield KEYS
    for key in keys:
        field = config.model_fields[key]
        # The loader names a source that has no name.
        default = "its kind and a number" if (section.path, key) == ("data.sources", "name") else _default(field)
        page, there = known.get(tuple(schema.plain(schema.configs_in(field.annotation))), ("", None))
        here = f"{section.path}.{key}" if section.path else key
        words, value = _cell(field.description), schema.words(field)
        name = f"`{key}`" if there is None else _link(key, there.path, page)
        if there is not None and (page or there.path != here):
            value = f"{'any of' if there.is_union else 'as'} {_link(there.path, there.path, page)}"
        yield f"| {name} | {_cell(value)} | {_cell(default)} | {words} |"
    yield ""


def _link(words: str, heading: str, page: str = "") -> str:
    return f"[`{words}`]({page}#{outline.anchor(heading)})"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, Config):
        kind = schema.kind_of(type(value))
        return f"`{kind}`" if kind and len(schema.configs_in(field.annotation)) > 1 else "its defaults"
    if isinstance(value, tuple) and any(isinstance(one, Config) for one in value):
        return "its defaults"
    return f"`{flow(value)}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _vetted() -> Iterator[str]:
    yield "## The vetted settings\n"
    yield "What `null` stands for in `train.optimizer.lr`, `train.head_lr` and `train.epochs`. Few rows are passed over"
    yield "more often: until there are enough optimizer steps, or the most epochs that help.\n"
    yield "| trainable | optimizer | `optimizer.lr` | `head_lr` | `epochs` | enough steps | most epochs |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for trainable, good in VETTED.items():
        passes = f"{good.epochs} | {good.enough_steps} | {MOST_EPOCHS[trainable]}"
        for optimizer, lr in good.lr.items():
            yield f"| `{trainable}` | `{optimizer}` | {flow(lr)} | {flow(good.head_lr[optimizer])} | {passes} |"
    yield ""


def _evaluation() -> Iterator[str]:
    yield "## Baselines and metrics\n"
    yield "| task | baseline | what it is |\n| --- | --- | --- |"
    for task, names in BASELINES.items():
        for name in names:
            yield f"| `{task}` | `{name}` | {_cell(wiring.wire('baseline', name).doc)} |"
    for baseline, doc in LANGUAGE_BASELINES.items():
        yield f"| {', '.join(f'`{task}`' for task in LANGUAGE_TASKS)} | `{baseline}` | {doc} |"
    yield ""
    yield "`gate` and `train.early_stopping.metric` name metrics by these names (`early_stopping` also `loss`).\n"
    for one in TASKS:
        metrics = ", ".join(f"`{name}`" for name in table.of_task(one))
        yield f"- `{one}`: {metrics}; the main one is `{table.PRIMARY[one]}`."
    yield ""


def _criteria() -> Iterator[str]:
    yield "## What a gate may ask\n"
    yield "Beside the metrics above; asking for one has it measured.\n"
    yield "| criterion | tasks | what it is |\n| --- | --- | --- |"
    for name, one in CRITERIA.items():
        tasks = ", ".join(f"`{task}`" for task in TASKS if task in one.tasks)
        yield f"| `{name}` | {tasks} | {_cell(one.doc)} |"
    yield ""


def _aliases() -> Iterator[str]:
    yield "## Keys of other tools\n"
    yield "They are refused with the native name, wherever they stand.\n"
    yield "| here | there | note |\n| --- | --- | --- |"
    rows: dict[tuple[str, str], list[str]] = {}
    for key, alias in aliases.ALIASES.items():
        rows.setdefault((alias.native or "", alias.note), []).append(key)
    for (native, note), keys in rows.items():
        yield f"| {f'`{native}`' if native else 'none'} | {', '.join(f'`{key}`' for key in keys)} | {_cell(note)} |"
    rows_keys = ", ".join(f"`{key}`" for key in sorted(aliases.BATCH))
    yield f"| `train.batch` | {rows_keys} | rows × accumulation × processes, computed and shown |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(render_language() if sys.argv[1:] == ["language"] else render())
