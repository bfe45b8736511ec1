"""The reference page: every key stands once, every link leads to a heading, its examples are recipes."""

from __future__ import annotations

import re

from tunesmith.recipe import outline, reference, schema, yaml12
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.load import validate
from tunesmith.recipe.recipe import Recipe

PAGE = reference.render()
HEADINGS = [line.lstrip("# ").replace("`", "") for line in PAGE.splitlines() if re.match(r"#{2,4} ", line)]


def test_every_link_leads_to_one_heading() -> None:
    anchors = [outline.anchor(heading) for heading in HEADINGS]
    assert len(set(anchors)) == len(anchors)
    linked = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert linked - set(anchors) == set()
    # And each section is linked from somewhere, the contents at least.
    assert set(anchors) - linked == {"contents"}


def test_every_config_class_is_given_once_with_every_key() -> None:
    found = outline.sections(Recipe)
    given = [one for section in found for one in section.classes]
    assert len(given) == len(set(given))
    assert set(given) == {config for _, config in schema.sections(Recipe)}
    for section in found:
        for config in section.classes:
            shown = {*(section.shared() if section.is_union else ()), *section.own(config)}
            assert set(config.model_fields) - shown <= {"kind"}


def test_a_joined_table_is_referred_to() -> None:
    assert "| [`table`](#datasources) | any of [`data.sources`](#datasources) | required |" in PAGE
    assert not any(heading.startswith("data.joins.table") for heading in HEADINGS)


def test_the_kinds_of_a_union_have_headings_of_their_own() -> None:
    assert {"data.sources[kind: csv]", "train.optimizer[kind: lion]", "tune.space[choice]"} <= set(HEADINGS)


def test_nothing_of_python_is_on_the_page() -> None:
    assert "<class" not in PAGE and "null not empty" not in PAGE and "typing." not in PAGE


def test_its_examples_are_recipes() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    assert all(validate(yaml12.read(block, "docs"), "docs").task == "classify" for block in blocks)


def test_the_page_of_language_tasks_gives_what_the_other_has_not() -> None:
    page = reference.render_language()
    headings = {
        outline.anchor(line.lstrip("# ").replace("`", "")) for line in page.splitlines() if line.startswith("#")
    }
    here = set(re.findall(r"\]\(#([^)]+)\)", page))
    there = set(re.findall(r"\]\(recipe\.md#([^)]+)\)", page))
    assert here <= headings
    assert there <= {outline.anchor(heading) for heading in HEADINGS}
    heads = {one for section in outline.sections(Recipe) for one in section.classes}
    own = {one for section in outline.sections(LanguageRecipe) for one in section.classes} - heads
    assert all(config.model_fields.keys() - {"kind"} <= set(re.findall(r"`([a-z_]+)`", page)) for config in own)
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert [validate(yaml12.read(block, "docs"), "docs").task for block in blocks] == ["generate", "generate"]
