"""Opens recipes: from a file or a table, with overrides, to the typed value; and back to text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import LANGUAGE_TASKS
from tunesmith.recipe import hints, yaml12, yaml_write
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.problems import Problem, dotted, error_of
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe

ENVIRONMENT = re.compile(r"\$\{env:([^}]*)\}")
ENVIRONMENT_KEYS = frozenset({"url", "token", "password"})
"""The only keys whose values may refer to an environment variable; the value is looked up when it is used."""
SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:|[A-Za-z]:[\\/])([^?]+)(.*)", re.DOTALL)
NO_SLUG = re.compile(r"[^a-z0-9_.-]+")
DOTS = re.compile(r"\.{2,}")


def load(recipe: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> AnyRecipe:
    """The recipe of a file, or of a table of the same shape, after overrides like ``train.optimizer.lr=1e-4``.

    Relative paths count from the recipe's folder; those of a table from the current one.

    Raises: RecipeError with every problem, each at its place in the file.
    """
    if isinstance(recipe, str | Path):
        file = Path(recipe)
        document, name, folder = _open(file), str(recipe), file.resolve().parent
        stem = file.name.split(".")[0]
        # `recipe.yaml` says nothing of what is learned; the folder it lies in does.
        document.data.setdefault("name", _slug(folder.name if stem == "recipe" else stem))
    else:
        document, name, folder = yaml12.Document(_plain(recipe)), "recipe", Path.cwd()
    for override in overrides:
        _apply(document, override)
    return _resolved(validate(document, name), folder)


def validate(document: yaml12.Document, name: str) -> AnyRecipe:
    """The recipe that a document holds.

    Raises: RecipeError with every problem, each at its place in the document.
    """
    misplaced = list(_misplaced_references(document.data, ()))
    root = LanguageRecipe if document.data.get("task") in LANGUAGE_TASKS else Recipe
    try:
        made: AnyRecipe = root.model_validate(document.data)
    except ValidationError as error:
        # A key that there is not is the cause; that it cannot refer to the environment would lead astray.
        unknown = {one["loc"][-1] for one in error.errors() if one["type"] == "extra_forbidden"}
        if known := [one for one in misplaced if one.path[-1] not in unknown]:
            raise error_of(known, document.places, name) from None
        raise hints.explain(error, document, root, name) from None
    if misplaced:
        raise error_of(misplaced, document.places, name)
    return made


def dump(recipe: AnyRecipe) -> str:
    """The recipe as YAML with every default written out; ``load`` gives it back. References to the environment stay."""
    return yaml_write.block(recipe.model_dump(mode="json"))


def _open(file: Path) -> yaml12.Document:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(
            f"there is no recipe {file}", next="`tunesmith init` writes one, or give the path of yours"
        ) from None
    except IsADirectoryError:
        raise RecipeError(f"{file} is a folder", allowed="a recipe file", next=f"try {file / 'recipe.yaml'}") from None
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{file} is not UTF-8 text",
            seen=f"byte 0x{error.object[error.start]:02x} at {error.start}",
            next="is this the right file? Save the recipe as UTF-8",
        ) from None
    except OSError as error:
        raise RecipeError(f"{file} cannot be read: {error.strerror}") from None
    return yaml12.read(text, str(file))


def _plain(value: Any) -> Any:
    """A table as YAML would have read it: own dictionaries and lists, paths as text."""
    if isinstance(value, Config):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _slug(stem: str) -> str:
    named = DOTS.sub(".", NO_SLUG.sub("-", stem.lower()))
    return named.strip("-_.")[:64].rstrip(".") or "recipe"


def _apply(document: yaml12.Document, override: str) -> None:
    """Set one value; a source is named by its number or its name."""
    dotted_path, sign, text = override.partition("=")
    keys = dotted_path.strip().split(".")
    if not sign or not all(keys):
        raise RecipeError(
            "an override is a path, an equals sign and a value", seen=override, allowed="train.optimizer.lr=1e-4"
        )
    place = yaml12.Place(f"--set {override}", override)
    here: Any = document.data
    path: yaml12.Path = ()
    for depth, key in enumerate(keys):
        step = _step(here, key, override)
        path = (*path, step)
        document.places[path] = place
        if depth == len(keys) - 1:
            here[step] = yaml12.value(text, f"--set {override}")
        elif isinstance(here, dict) and (step not in here or here[step] is None):
            here[step] = {}
        elif isinstance(here[step], str):
            # `optimizer: adamw` is short for `optimizer: {kind: adamw}`.
            here[step] = {"kind": here[step]}
        here = here[step]


def _step(here: Any, key: str, override: str) -> str | int:
    if isinstance(here, dict):
        return key
    if isinstance(here, list):
        names = [one.get("name") if isinstance(one, dict) else None for one in here]
        if key in names:
            return names.index(key)
        if key.isdecimal() and int(key) < len(here):
            return int(key)
        allowed = ", ".join([*(str(name) for name in names if name), f"0 to {len(here) - 1}"])
        raise RecipeError(f"--set: there is no item `{key}`", seen=override, allowed=allowed)
    raise RecipeError(f"--set: `{key}` would stand inside of a value that is no table", seen=override)


def _misplaced_references(value: Any, path: yaml12.Path) -> Iterator[Problem]:
    """References to the environment where none is documented: they would be read as plain text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _misplaced_references(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _misplaced_references(item, (*path, index))
    elif isinstance(value, str) and ENVIRONMENT.search(value) and path[-1] not in ENVIRONMENT_KEYS:
        yield Problem(
            path,
            f"`{dotted(path)}` cannot refer to the environment",
            seen=value,
            allowed=f"${{env:NAME}} in {', '.join(sorted(ENVIRONMENT_KEYS))}",
            next=f"write the value, or give it on the command line: --set {'.'.join(map(str, path))}=…",
        )


def _resolved(recipe: AnyRecipe, folder: Path) -> AnyRecipe:
    """The recipe with the paths of sources and model made absolute."""
    sources = tuple(_source_at(source, folder) for source in recipe.data.sources)
    joins = tuple(join.model_copy(update={"table": _source_at(join.table, folder)}) for join in recipe.data.joins)
    data = recipe.data.model_copy(update={"sources": sources, "joins": joins})
    if isinstance(recipe, LanguageRecipe):
        tokens, evaluate = recipe.tokens, recipe.evaluate
        if tokens.template_file is not None:
            tokens = tokens.model_copy(update={"template": _at(tokens.template, folder)})
        if (forgetting := evaluate.forgetting) is not None:
            source = _source_at(forgetting.source, folder)
            evaluate = evaluate.model_copy(update={"forgetting": forgetting.model_copy(update={"source": source})})
        given = {"data": data, "model": _model_at(recipe.model, folder), "tokens": tokens, "evaluate": evaluate}
        return recipe.model_copy(update=given)
    assert isinstance(recipe, Recipe)
    augment = recipe.data.augment
    if augment is not None:
        augment = augment.model_copy(update={"methods": tuple(_source_at(one, folder) for one in augment.methods)})
    named = recipe.model
    model = _model_at(named, folder) if isinstance(named, str) else tuple(_model_at(one, folder) for one in named)
    return recipe.model_copy(update={"data": data.model_copy(update={"augment": augment}), "model": model})


def _source_at(source: Any, folder: Path) -> Any:
    update: dict[str, Any] = {}
    if isinstance(path := getattr(source, "path", None), str | Path) and "://" not in str(path):
        update["path"] = type(path)(_at(str(path), folder))
    if isinstance(url := getattr(source, "url", None), str) and (match := SQLITE.fullmatch(url)):
        update["url"] = f"{match[1]}{_at(match[2], folder)}{match[3]}"
    return source.model_copy(update=update)


def _model_at(model: str, folder: Path) -> str:
    """A folder's absolute path where the name is one; a Hub id or `embedded` as it stands."""
    is_path = model.startswith((".", "/", "~")) or (model != "embedded" and (folder / model).is_dir())
    return _at(model, folder) if is_path else model


def _at(path: str, folder: Path) -> str:
    # Not resolve(): a link that is moved to newer rows stays the name of the source.
    return str(Path.cwd() / folder / Path(path).expanduser())
