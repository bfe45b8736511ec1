"""The verbs: exit codes, JSON alone on stdout, and what a failed run ends with."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.core.errors import DataError, Denied, Interrupted, RecipeError, StepError, TunesmithError
from tunesmith.lifecycle.approve import Decided, RolledBack
from tunesmith.lifecycle.doctor import Check
from tunesmith.lifecycle.run import RunResult
from tunesmith.store.audit import Entry

SCORE = {"value": 0.9, "low": 0.8, "high": 0.95}
COMPARISON = {
    "metric": "f1_macro", "against": "tfidf", "difference": 0.2, "low": 0.1, "high": 0.3, "p_value": 0.0,
    "confidence": 0.95, "verdict": "better", "num_rows": 60, "smallest_detectable": 0.05,
}  # fmt: skip


def result(
    status: str = "done", verdict: str = "better", model: str = "intents@production", why: str | None = None
) -> RunResult:
    """A run that ended."""
    passed = status == "done"
    words = f"f1_macro is 0.9 → {'passed' if passed else 'failed'}"
    check = {"criterion": "f1_macro", "passed": passed, "seen": 0.9, "required": "…", "words": words}
    return RunResult(
        run="intents-1", status=status, verdict=verdict,
        metrics={"test": {"f1_macro": SCORE}}, baselines={"tfidf": {"f1_macro": SCORE}},
        model=model, report="/home/report.html", rows={"read": 9, "kept": 7, "removed": 1, "quarantined": 1},
        comparisons=[COMPARISON], gate={"passed": passed, "verdict": verdict, "checks": [check]}, seconds=1.5, why=why,
    )  # fmt: skip


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a verb's function return a value or raise an error."""

    def put(verb: str, value: Any, told: list[Any] | None = None) -> None:
        def call(*given: Any, **more: Any) -> Any:
            if told is not None:
                told.append((given, more))
            if isinstance(value, BaseException):
                raise value
            return value

        monkeypatch.setattr(api, verb, call)

    return put


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("no rows"), 1),
        (RecipeError("no such key"), 2),
        (Denied("not allowed"), 3),
        (Interrupted("stopped"), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("surprise"), 1),
    ],
)
def test_errors_become_exit_codes(
    error: BaseException, code: int, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answer("plan", error)
    assert main(["plan", "x.yaml"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(("error: ", "interrupted: "))
    assert "Traceback" not in shown.err
    assert main(["plan", "x.yaml", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["exit_code"] == code


def test_an_error_says_what_was_seen_what_is_allowed_and_what_next(
    answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answer("plan", RecipeError("no such key", seen="trian", allowed="train, data", next="did you mean `train`?"))
    main(["plan"])
    assert capsys.readouterr().err.splitlines() == [
        "error: no such key", "  seen:    trian", "  allowed: train, data", "  next:    did you mean `train`?",
    ]  # fmt: skip


def test_the_trace_of_a_surprise_is_kept(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer("models", ZeroDivisionError("surprise"))
    assert main(["models", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    trace = Path(told["trace"])
    assert "ZeroDivisionError: surprise" in trace.read_text()
    assert trace.stat().st_mode & 0o077 == 0
    trace.unlink()


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ([], "tunesmith resume intents-1"),
        (["--home", "a b", "--project", "team"], "tunesmith resume intents-1 --home 'a b' --project team"),
    ],
)
def test_a_stopped_run_ends_with_the_command_that_resumes_it(
    options: list[str], command: str, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (StepError("died"), Interrupted("stopped")):
        error.run_id = "intents-1"
        answer("run", error)
        assert main(["run", *options]) == error.exit_code
        assert capsys.readouterr().err.splitlines()[-1] == command
        main(["run", "--json", *options])
        told = json.loads(capsys.readouterr().out)
        assert (told["run"], told["resume"]) == ("intents-1", command)


def test_a_wrong_recipe_is_not_resumed(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    error: TunesmithError = RecipeError("no such column")
    error.run_id = "intents-1"
    answer("run", error)
    assert main(["run"]) == 2
    assert "resume" not in capsys.readouterr().err


def test_run_prints_its_result_as_json_and_nothing_else(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[Any] = []
    answer("run", result(), told)
    assert main(["run", "r.yaml", "--set", "train.batch=8", "--set", "seed=1", "--project", "p", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result().to_dict()
    ((given, more),) = told
    assert given == (Path("r.yaml"), ["train.batch=8", "seed=1"])
    assert (more["project"], more["until"]) == ("p", "release")
    assert isinstance(more["cancel"], threading.Event)


def test_run_shows_verdict_model_report_and_next_command(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer("run", result())
    assert main(["run", "--home", "h"]) == 0
    out = capsys.readouterr().out
    assert "BETTER than tfidf: released as intents@production" in out
    assert "0.900 [0.800, 0.950]" in out
    assert "p < 0.0001" in out
    assert "/home/report.html" in out
    assert out.splitlines()[-1].endswith("tunesmith predict intents@production yours.csv --out answers.csv --home h")


def test_a_denied_release_says_why_and_exits_3(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer("run", result("denied", "not shown", "run:intents-1"))
    assert main(["run"]) == 3
    out = capsys.readouterr().out
    assert "✗ gate: f1_macro is 0.9 → failed" in out
    assert "not released, the gate said no" in out
    answer("resume", result("denied", "worse", "run:intents-1"))
    assert main(["resume", "intents-1", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["status"] == "denied"


def test_a_decision_comes_with_what_to_do_next(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer("rollback", RolledBack("desk", "production", version=1, was=2, by="bo", reason="complaints"))
    assert main(["rollback", "desk@production", "--reason", "complaints", "--project", "east"]) == 0
    shown = capsys.readouterr().out
    assert "stands on version 1, was 2" in shown
    assert "tunesmith rollback desk@production --to 2 --reason TEXT --project east" in shown
    stale = RolledBack("desk", "production", version=1, was=2, by="bo", reason="complaints", stale=("e-1",))
    answer("rollback", stale)
    assert main(["rollback", "desk@production", "--reason", "complaints", "--home", "h"]) == 0
    shown = capsys.readouterr().out
    assert "version 1 is stale" in shown and "tunesmith retrain desk@production --home h" in shown
    how: dict[str, Any] = {"kind": "exception", "by": "bo", "reason": "pilot", "is_alone": False, "report": None}
    answer("approve", Decided("r-1", "done", "approved", model="desk@production", version=2, **how))
    assert main(["approve", "r-1", "--reason", "pilot"]) == 0
    assert "tunesmith predict desk@production yours.csv --out answers.csv" in capsys.readouterr().out
    stays = "desk@production stays on version 1"
    answer("approve", Decided("r-1", "done", "approved", model="desk@2", version=2, **how, why=stays))
    assert main(["approve", "r-1", "--reason", "pilot"]) == 0
    assert f"but {stays}" in capsys.readouterr().out
    answer("run", result("done", "better", "intents@2", why="intents@production stays on version 1"))
    assert main(["run"]) == 0
    assert "released as intents@2, but intents@production stays on version 1" in capsys.readouterr().out
    answer("approve", Decided("r-1", "denied", "refused", model=None, version=None, **how))
    assert main(["approve", "r-1", "--reason", "pilot", "--refuse"]) == 0
    assert "predict" not in capsys.readouterr().out


def test_the_audit_tells_reasons_whole_and_digests_short(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    details = f'{{"kind":"exception","model":"{"39feeef0d359" * 5}","reason":"asked for, ticket 4711"}}'
    at = datetime(2026, 11, 21, 21, 47, 41, tzinfo=UTC)
    answer("audit_entries", [Entry(20, at, "bo", "approve", "r-1", details, "0" * 64, "1" * 64)])
    assert main(["audit"]) == 0
    shown = capsys.readouterr().out
    assert "39feeef0d359…" in shown and "39feeef0d35939" not in shown
    assert "ticket 4711" in shown
    assert "UTC" in shown


def test_train_is_run_until_evaluate(answer: Any) -> None:
    told: list[Any] = []
    answer("run", result(model="run:intents-1"), told)
    assert main(["train", "-q"]) == 0
    assert told[0][1]["until"] == "evaluate"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["plna"], "'plan'"),
        (["run", "--sett", "a=1"], "--set"),
        (["run", "--until", "never"], "release"),
        (["resume"], "RUN"),
        (["predict", "m"], "--text"),
        (["predict", "m", "in.csv"], "--out"),
        (["explain", "m"], "tunesmith explain m --text TEXT"),
    ],
)
def test_wrong_usage_exits_2_with_the_nearest(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert hint in shown.err
    assert shown.out == ""
    assert main([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "RecipeError"


def test_doctor_exits_1_on_problems(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer("doctor", [Check("disk", "problem", "0.1 GB free", "free 2 GB"), Check("python", "ok", "3.11")])
    assert main(["doctor"]) == 1
    assert "free 2 GB" in capsys.readouterr().out
    answer("doctor", [Check("python", "ok", "3.11"), Check("postgresql", "note", "no driver")])
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ready"] is True


def test_models_and_init_work_for_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--home", str(tmp_path / "home"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["init", str(tmp_path / "new")]) == 0
    assert f"tunesmith plan {tmp_path / 'new' / 'recipe.yaml'}" in capsys.readouterr().out
    assert main(["init", str(tmp_path / "new")]) == 2


def test_plan_shows_what_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"please {verb} the order number {at},{verb}" for at in range(20) for verb in ("send", "cancel")]
    lines += [lines[0], "no label here,", "please [red]break[/red] it \x1b[31m,send"]
    (tmp_path / "rows.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    (tmp_path / "recipe.yaml").write_text(
        "task: classify\ndata: {sources: [{kind: csv, path: rows.csv}], clean: {near_duplicates: null}}\n"
    )
    call = ["plan", str(tmp_path / "recipe.yaml"), "--home", str(tmp_path / "home")]
    assert main([*call, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["rows"]["rows"] == {"read": 43, "kept": 41, "removed": 1, "quarantined": 1}
    assert main(call) == 0
    shown = capsys.readouterr()
    assert "1 exact duplicate" in shown.out
    assert "1 label is missing" in shown.out
    assert "a run takes about" in shown.out
    assert "✓ prepare            cached" in shown.err
    assert "\x1b" not in shown.out
