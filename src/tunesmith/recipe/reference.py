"""The reference page of the recipe, made from the config classes.

``python -m tunesmith.recipe.reference > docs/recipe.md`` writes it; a test holds it up to date.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tunesmith.core import wiring
from tunesmith.core.config import Config
from tunesmith.evaluation.config import BASELINES
from tunesmith.metrics import table
from tunesmith.recipe import aliases, schema
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.yaml_write import flow
from tunesmith.training.vetted import MOST_EPOCHS, VETTED

UNIONS: dict[str, wiring.Table] = {
    "data.sources": "source",
    "data.joins.table": "source",
    "train.method": "method",
    "train.trainable": "trainable",
    "train.optimizer": "optimizer",
}
"""The fields that name a kind of the wiring table."""

HEAD = """# The recipe

Made by `python -m tunesmith.recipe.reference` from the classes that read a recipe: do not edit.

A recipe is one YAML file. The smallest one names the task and a source:

```yaml
task: classify
data:
  sources:
    - {kind: csv, path: tickets.csv, columns: {text: message, label: intent}}
```

- YAML is read by the 1.2 core schema: `2e-4` is a number, `no` and `on` are texts, `012` is 12; a key may stand once.
- Relative paths count from the recipe's folder. `${env:NAME}` is read from the environment where a key says so (`url`),
  when it is used; recipes that are stored keep the reference.
- A bare name stands for its kind: `optimizer: sgd` is `optimizer: {kind: sgd}`.
- `--set train.optimizer.lr=1e-4` overrides a value; `--set data.sources.export.path=new.csv` names a source by its
  name.
"""


def render() -> str:
    """The whole page as Markdown."""
    return "\n".join([HEAD, *_sections(), *_vetted(), *_evaluation(), *_aliases()]).rstrip() + "\n"


def _sections() -> Iterator[str]:
    for path, config in schema.sections(Recipe):
        table_name = UNIONS.get(path)
        kind = schema.kind_of(config) if table_name else None
        title = f"`{path}`" if path else "The top level"
        yield f"## {title}{f', kind `{kind}`' if kind else ''}\n"
        yield f"{' '.join((inspect.getdoc(config) or '').split())}\n"
        fields = [(key, field) for key, field in config.model_fields.items() if key != "kind" or kind is None]
        if fields:
            yield "| key | value | default | meaning |\n| --- | --- | --- | --- |"
        for key, field in fields:
            # The loader names a source that has no name.
            default = f"`{kind}-1`, `{kind}-2`, …" if (path, key) == ("data.sources", "name") else _default(field)
            yield f"| `{key}` | {_cell(schema.words(field))} | {_cell(default)} | {_cell(field.description)} |"
        yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, Config):
        kind = schema.kind_of(type(value))
        return f"`{kind}`" if kind and len(schema.configs_in(field.annotation)) > 1 else "see its own table"
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
    yield ""
    yield "`gate` and `train.early_stopping.metric` name metrics by these names (`early_stopping` also `loss`).\n"
    for task in BASELINES:
        names = tuple(name for name, metric in table.METRICS.items() if metric.task == task)
        yield f"- `{task}`: {', '.join(f'`{name}`' for name in names)}; the main one is `{table.PRIMARY[task]}`."
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
    sys.stdout.write(render())
