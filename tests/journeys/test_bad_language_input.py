"""Bad input of language tasks, through the command line in this process: a clear error with a way out, the design's
exit code, and every row counted."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import FakeContext, write_decoder

from tunesmith.cli.main import main
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.lifecycle.model import base_path, find_model
from tunesmith.lifecycle.session import open_session
from tunesmith.selection.config import BaseConfig
from tunesmith.selection.pin import Base
from tunesmith.store.artifacts import ArtifactStore

FAILED, WRONG = 1, 2
SOURCES = [{"kind": "jsonl", "name": "rows", "path": "rows.jsonl"}]
UNTRAINED, TOO_MUCH = "no token of the training rows", "more time or memory than a template may"
NOT_JSON = "NaN or Infinity, which JSON does not have"
NAN_TURNS = '[{"role": "user", "content": NaN}, {"role": "assistant", "content": "a"}]'
CITIES, FOODS = ["Oslo", "Rome", "Paris", "Cairo", "Lima"], ["soup", "bread", "fish", "rice", "cake", "salad"]
PAIRS = [(f"what to eat in {city}, if not {food}?", f"try the {food} of {city}") for city in CITIES for food in FOODS]
SAID = "{% for one in messages %}<s>{{ one.role }}: {{ one.content }}</s>{% endfor %}"
ASKS = "{% if add_generation_prompt %}<s>assistant: {% endif %}"
ENDLESS = (
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}"
)


def said(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    """A row of messages."""
    return {"messages": [{"role": role, "content": content} | more for role, content in turns]}


GOOD = [said(("user", asked), ("assistant", answered)) for asked, answered in PAIRS]
LONG = said(("user", "word " * 200), ("assistant", "first"), ("user", "more"), ("assistant", "second " * 5))


class House:
    """A folder with a model, rows and a recipe."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys, self.model = folder, capsys, folder / "model"
        if not self.model.exists():
            write_decoder(self.model)
        self.home = folder / "home"

    def recipe(self, rows: list[Any], **more: Any) -> Path:
        """A recipe of rows, lines where they are text."""
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        (self.folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines))
        recipe = {
            "name": "tiny",
            "task": "chat",
            "data": {
                "sources": SOURCES,
                "clean": {"near_duplicates": None},
            },
            "model": str(self.model),
            "train": {"trainable": "lora", "epochs": 1},
            "evaluate": {"baselines": [], "generation": {"max_new_tokens": 4}},
            "gate": {},
        }
        path = self.folder / "recipe.yaml"
        path.write_text(json.dumps(recipe | more))
        return path

    def call(self, *words: str) -> tuple[int, Any]:
        """The exit code and the JSON value that a call prints."""
        self.capsys.readouterr()
        code = main([*words, "--home", str(self.home), "--json", "--quiet"])
        told = self.capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        return code, json.loads(told.out)

    def plan(self, rows: list[Any], **more: Any) -> tuple[int, Any]:
        """The plan of rows, or why there is none."""
        return self.call("plan", str(self.recipe(rows, **more)))

    def refused(self, code: int, rows: list[Any], **more: Any) -> dict[str, Any]:
        """The error of a plan that cannot be made; it names its way out, and leaves nothing half written."""
        found, error = self.plan(rows, **more)
        assert found == code == error["exit_code"], error
        assert error["what"] and error["seen"] and error["next"]
        assert not list(self.home.rglob(".tunesmith-tmp-*"))
        return dict(error)

    def planned(self, rows: list[Any], **more: Any) -> dict[str, Any]:
        """A plan in which every row is in one place."""
        code, plan = self.plan(rows, **more)
        assert code == 0, plan
        counts = plan["rows"]["rows"]
        assert counts["read"] == len(rows) == counts["kept"] + counts["removed"] + counts["quarantined"]
        assert counts["quarantined"] == sum(plan["rows"]["quarantined"].values())
        [plan["tokens"]] = plan["tokens"]  # of one phase
        source = plan["tokens"]["by_source"]["rows"]
        assert source["rows"] == counts["kept"] == source["kept"] + source["dropped"] + source["untrained_rows"]
        assert source["dropped"] + source["untrained_rows"] == sum(source["reasons"].values())
        return dict(plan)


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    return House(tmp_path, capsys)


def test_no_template(house: House) -> None:
    template = house.planned(GOOD)["tokens"]["template"]
    assert (template["name"], template["source"]) == ("chatml", "built in")


@pytest.mark.parametrize(
    ("template", "what", "seen", "next"),
    [
        ("{{ raise_exception('not now') }}", UNTRAINED, "21 the template says: not now", "tokens.template=chatml"),
        (ENDLESS, TOO_MUCH, "more than 1 s of processor time", "mend it"),
        ("{{ 'x' * 1000000000 }}", TOO_MUCH, "more than 512 MB of memory", "mend it"),
        ("{% for a in range(9999) %}{{ 'x' * 99999 }}{% endfor %}", TOO_MUCH, "16,000,000 characters", "mend it"),
        ("{% for a in %}", "the chat template cannot be read", "line 1", "template: chatml"),
        ("{{ messages[0].content }}", UNTRAINED, "shows nothing of the answer", "tokens.template=chatml"),
    ],
    ids=["raises", "loops", "gigabyte", "gigabyte in pieces", "broken", "shows no answer"],
)  # fmt: skip
def test_templates_that_do_harm(template: str, what: str, seen: str, next: str, house: House) -> None:
    (house.model / "chat_template.jinja").write_text(template)
    error = house.refused(FAILED, GOOD)
    assert what in error["what"] and seen in error["seen"] and next in error["next"], error


def test_rows_that_a_template_refuses_are_counted_with_its_words(house: House) -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    (house.model / "chat_template.jinja").write_text(strict + SAID + ASKS)
    rows = [*GOOD, *(said(("system", "be kind"), ("user", f"q {at}"), ("assistant", "a")) for at in range(3))]
    plan = house.planned(rows)
    assert plan["tokens"]["by_source"]["rows"]["reasons"] == {"the template says: no system turn": 3}


@pytest.mark.parametrize(
    ("row", "quarantined"),
    [
        (said(("user", ""), ("assistant", "a")), "empty content of a turn: user"),
        (said(("user", None), ("assistant", "a")), "empty content of a turn: user"),
        (said(("user", "q"), ("assistant", " \n")), "empty content of a turn: assistant"),
        (said(("user", "q"), ("wizard", "a")), "unknown role"),
        ({"messages": None}, "no list of messages"),
        (f'{{"messages": {NAN_TURNS}}}', NOT_JSON),
        ('{"messages": NaN}', NOT_JSON),
        ({"messages": NAN_TURNS}, "messages that are no JSON"),
        (said(("user", "q"), ("assistant", "a"), weight=0), "no assistant turn with a weight above 0"),
        (said(("user", "q"), ("assistant", "a"), weight=2), "a weight that is no number from 0 to 1"),
    ],
)  # fmt: skip
def test_rows_that_are_no_conversation_are_counted(row: Any, quarantined: str, house: House) -> None:
    plan = house.planned([*GOOD, row])
    assert plan["rows"]["quarantined"] == {quarantined: 1}


def test_two_users_in_a_row_are_joined_and_counted(house: House) -> None:
    row = said(("user", "one"), ("user", "two"), ("assistant", "three"))
    plan = house.planned([*GOOD, row])
    assert plan["sources"][0]["conversations"]["changed"] == {"user turns joined to the one before": 1}
    refuse = {
        "sources": SOURCES,
        "format": {"repeated_turns": "refuse"},
    }
    assert house.planned([*GOOD, row], data=refuse)["rows"]["quarantined"] == {"two turns in a row: user": 1}


def test_speakers_that_nobody_knows_can_be_told(house: House) -> None:
    rows = [said(("user", asked), ("wizard", answered)) for asked, answered in PAIRS]
    error = house.refused(FAILED, rows)
    assert error["seen"] == "unknown role: 30" and "roles: {wizard: user}" in error["next"]
    data = {"sources": SOURCES, "format": {"roles": {"wizard": "assistant"}}}
    assert house.planned(rows, data=data)["rows"]["rows"]["kept"] == 30


@pytest.mark.parametrize(
    ("policy", "counted"),
    [
        ("drop", {"kept": 30, "dropped": 1, "truncated": 0, "split": 0, "untrained_rows": 0}),
        ("split", {"kept": 31, "dropped": 0, "truncated": 0, "split": 1, "untrained_rows": 0}),
        ("truncate_left", {"kept": 31, "dropped": 0, "truncated": 1, "split": 0, "untrained_rows": 0}),
        ("truncate_right", {"kept": 30, "dropped": 0, "truncated": 0, "split": 0, "untrained_rows": 1}),
    ],
)
def test_a_row_longer_than_the_context(policy: str, counted: dict[str, int], house: House) -> None:
    found = house.planned([*GOOD, LONG], tokens={"length_policy": policy})["tokens"]["by_source"]["rows"]
    assert {name: found[name] for name in counted} == counted
    whole = house.planned(GOOD)["tokens"]["by_source"]["rows"]["tokens"]
    long = house.planned([*GOOD, LONG], tokens={"length_policy": "drop"})["tokens"]["by_source"]["rows"]["cut_tokens"]
    assert found["cut_tokens"] == long - (found["tokens"] - whole), "every token is in a row or counted as lost"


def test_a_row_longer_than_the_context_can_be_refused(house: House) -> None:
    error = house.refused(FAILED, [*GOOD, LONG], tokens={"length_policy": "refuse"})
    assert error["seen"] == "rows: 1 rows" and error["allowed"] == "at most 256 tokens" and "drop" in error["next"]


def test_a_tokenizer_without_pad_needs_none(house: House) -> None:
    for name, key in (("tokenizer_config.json", "pad_token"), ("config.json", "pad_token_id")):
        settings = json.loads((house.model / name).read_text())
        del settings[key]
        (house.model / name).write_text(json.dumps(settings))
    assert house.planned(GOOD)["tokens"]["by_source"]["rows"]["kept"] == 30


def test_a_tokenizer_larger_than_the_embedding(house: House) -> None:
    shutil.rmtree(house.model)
    write_decoder(house.model, vocab_size=270)
    error = house.refused(FAILED, GOOD)
    assert "no embedding for" in error["what"]
    assert error["seen"] == "id 299 in tokenizer.json, vocab_size 270 in config.json"
    assert error["allowed"] == "ids below 270" and "resize" in error["next"]


def test_nan_in_columns(house: House) -> None:
    rows: list[Any] = [{"prompt": asked, "completion": answered} for asked, answered in PAIRS]
    rows += ['{"prompt": NaN, "completion": "x"}', '{"prompt": "n", "completion": Infinity}']
    rows += [{"prompt": "a question", "completion": None}, {"prompt": None, "completion": "an answer"}]
    rows += [{"prompt": "is there one?", "completion": "NaN"}]
    plan = house.planned(rows)
    assert plan["rows"]["quarantined"] == {
        NOT_JSON: 2,
        "empty content of a turn: assistant": 1,
        "empty content of a turn: user": 1,
    }
    assert plan["sources"][0]["conversations"]["changed"] == {"turns that read like a missing value": 1}


def test_nothing_would_be_trained(house: House) -> None:
    error = house.refused(FAILED, [said(("user", asked), ("assistant", "a"), weight=0) for asked, _ in PAIRS])
    assert error["seen"] == "no assistant turn with a weight above 0: 30" and "`weight` above 0" in error["next"]
    error = house.refused(FAILED, GOOD, tokens={"max_tokens": 8})
    assert error["what"] == "no token of the training rows would be trained"
    assert "21 longer than 8 tokens" in error["seen"] and "larger tokens.max_tokens" in error["next"]


def test_columns_that_are_not_there(house: House) -> None:
    rows = [{"promt": asked, "completion": answered} for asked, answered in PAIRS]
    error = house.refused(FAILED, rows)
    assert error["seen"] == "columns promt, completion" and "prompt: promt, completion: completion" in error["next"]
    columns = {"prompt": "prompt", "completion": "completion"}
    error = house.refused(WRONG, rows, data={"sources": SOURCES, "format": {"columns": columns}})
    assert (error["allowed"], error["next"]) == ("promt, completion", "did you mean `promt`?")


def test_several_forms_in_one_file(house: House) -> None:
    more: list[Any] = [{"prompt": asked, "completion": answered} for asked, answered in PAIRS[:5]]
    more.append({"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}]})
    plan = house.planned([*GOOD, *more])
    assert plan["rows"]["quarantined"] == {"no list of messages": 6}
    note = plan["sources"][0]["notes"][-1]
    assert "ShareGPT (conversations) and prompt and completion (prompt, completion)" in note and "`sources`" in note


def test_an_adapter_is_no_model_to_start_from(house: House) -> None:
    (house.model / "config.json").unlink()
    (house.model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/tiny"}))
    error = house.refused(FAILED, GOOD)
    assert "holds an adapter" in error["what"] and "owner/tiny" in error["seen"] and "--format merged" in error["next"]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a released model that was really trained: an adapter beside its base."""
    folder = tmp_path_factory.mktemp("released")
    house = House(folder, None)  # type: ignore[arg-type]
    assert main(["run", str(house.recipe(GOOD)), "--home", str(house.home), "--quiet"]) == 0
    return folder


@pytest.fixture
def after(released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A copy of it."""
    shutil.copytree(released, tmp_path / "work", symlinks=True)
    return House(tmp_path / "work", capsys)


def verbs(house: House, reference: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int, Any]]:
    """Every verb that opens a model, with what came of it."""
    rows = str(house.folder / "rows.jsonl")
    calls = {
        "predict": ["predict", reference, "--text", "hello"],
        "predict a file": ["predict", reference, rows, "--out", str(house.folder / "answers.jsonl")],
        "chat": ["chat", reference],
        "evaluate": ["evaluate", reference, rows],
        "export": ["export", reference, str(house.folder / "out")],
        "train on": ["plan", str(house.folder / "recipe.yaml"), "--set", f"model={reference}"],
    }
    for name, words in calls.items():
        monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
        code, told = house.call(*words)
        yield name, code, told
        if code:
            assert not (house.folder / "answers.jsonl").exists() and not (house.folder / "out").exists()


def cut(content: bytes) -> bytes:
    """A file that lacks its end."""
    return content[:-64]


def flipped(content: bytes) -> bytes:
    """A file with one bit changed."""
    return content[:-64] + bytes([content[-64] ^ 1]) + content[-63:]


@pytest.mark.parametrize("damage", [cut, flipped])
@pytest.mark.parametrize("where", ["adapter/adapter_model.safetensors", "chat_template.jinja", "base"])
def test_damaged_files_are_named(
    damage: Callable[[bytes], bytes], where: str, after: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_session(after.home) as session:
        model = find_model(session, "tiny@1")
        base = base_path(session, model)
    assert base is not None
    file = base / "files" / "model.safetensors" if where == "base" else model.path / where
    content = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(damage(content))
    for name, code, error in verbs(after, "tiny@1", monkeypatch):
        assert code == FAILED, name
        assert "is damaged" in error["what"] and file.name in error["what"], name
        assert error["seen"] != error["allowed"] and "run the recipe again" in error["next"]
    file.write_bytes(content)
    assert after.call("predict", "tiny@1", "--text", "hello", "--max-new-tokens", "2")[0] == 0, "mended, it answers"


def test_an_adapter_over_another_base(after: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest names a base of the same shape with other weights."""
    other = after.folder / "other"
    write_decoder(other / "model", seed=1)
    with open_session(after.home) as session:
        model = find_model(session, "tiny@1")
        context = FakeContext(other / "step")
        facts = dict(Base(BaseConfig(model=str(other / "model"), task="chat")).run({}, context)["base"])
        base = keep(session, "base", context.out, facts)
        folder = other / "train"
        shutil.copytree(model.path, folder / "model")
        manifest = json.loads((folder / "model" / "model.json").read_text())
        manifest["base"]["digest"] = base.digest
        (folder / "model").chmod(0o755)
        (folder / "model" / "model.json").chmod(0o644)
        (folder / "model" / "model.json").write_text(json.dumps(manifest))
        wrong = keep(session, "model", folder, {**model.facts, "base": manifest["base"]})
        session.ledger.register_version("wrong", wrong.digest, session.ledger.runs()[0].id, "better")
    for name, code, error in verbs(after, "wrong@1", monkeypatch):
        assert code == FAILED, name
        assert error["what"] == "this adapter was trained over another base model", (name, error)
        assert error["seen"].startswith("weights ") and error["next"], name


def keep(session: Any, name: str, folder: Path, facts: dict[str, Any]) -> Artifact:
    """What a step left, in the store."""
    store, made_by = ArtifactStore(session.workspace, session.ledger), MadeBy(f"other-{name}", name, 0)
    return store.save_step(f"other-{name}", f"content-{name}", name, folder, {name: (name, facts)}, made_by, ())[name]


def test_what_the_model_cannot_see_is_counted(after: House, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["word " * 100, "next " * 20]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    code, told = after.call("chat", "tiny@1", "--max-new-tokens", "4")
    assert code == 0, told
    assert len(told) == 2 and told[0]["num_truncated_tokens"] > 0, "whatever it answers, it goes on"
    after.capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    assert main(["chat", "tiny@1", "--max-new-tokens", "4", "--home", str(after.home)]) == 0
    lost = told[0]["num_truncated_tokens"]
    assert f"{lost} tokens at its start not read" in after.capsys.readouterr().err
    code, [one] = after.call("predict", "tiny@1", "--text", "word " * 300, "--max-new-tokens", "4")
    assert code == 0 and one["num_truncated_tokens"] > 0
    (after.folder / "long.jsonl").write_text(json.dumps({"prompt": "word " * 300, "completion": "x"}) + "\n")
    code, measured = after.call("evaluate", "tiny@1", str(after.folder / "long.jsonl"))
    assert code == 0
    assert any("1 of 1 answered prompts are longer than the model reads" in note for note in measured["notes"])
