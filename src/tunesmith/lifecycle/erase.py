"""A person erased: their rows taken out of everything that a project holds, and the proof that nothing is left.

What is done can be cut off at any moment and gone on with: who is erased is on record first, what is looked for is
remembered in a file until the end, and each artifact is replaced in one transaction before its bytes are deleted.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.core.subject import subject_hash
from tunesmith.data.row_groups import write_table
from tunesmith.governance.erasure.find import find_rows, find_texts
from tunesmith.governance.erasure.person import LEAST_CHARS, Person
from tunesmith.governance.erasure.rewrite import Rewritten, facts_of, rewrite
from tunesmith.governance.erasure.scan import Hit, Scanner, scan
from tunesmith.governance.erasure.values import cleaned
from tunesmith.lifecycle.erase_files import clean_project, clean_runs, clean_steps
from tunesmith.lifecycle.session import Session
from tunesmith.store import erasures
from tunesmith.store.erasures import WEIGHTS, Erasure
from tunesmith.store.files import make_folder, temporary_folder, write_bytes, write_json

FOLDER, WORK = "erasures", ".work"
LEARNED = ("train", "validation", "outside")
MOST_REASON_CHARS = 1000


@dataclass(frozen=True)
class Erased:
    """What was erased, or with a dry run would be."""

    subject: str
    """The keyed hash: nothing here names the person."""
    id: str | None
    """None for a dry run."""
    rows: int
    """Rows of the person, and rows made from them, each counted once however often it was copied."""
    artifacts: list[dict[str, Any]]
    """``digest``, ``kind`` and ``replaced_by`` (null: computed again on need) of everything that held them."""
    observations: int
    """Captured answers that were deleted, with what was said of them."""
    files: list[str]
    """Further files that were written anew or deleted, below the workspace."""
    models: list[dict[str, Any]]
    """``digest`` and ``names`` of the models that learned from the rows."""
    shared: int
    """Texts of the person that rows of others hold as well: those rows stay."""
    left: list[dict[str, Any]]
    """``kind``, ``place`` and ``times`` of what is still found."""
    scanned: int
    """Files that were searched in the end."""
    notes: list[str]
    is_clean: bool
    """Whether neither the identifier nor a text of the person was found anywhere."""
    proof: str | None
    """The proof file."""
    audit: int | None
    """The sequence of the audit entry."""

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return asdict(self)


@dataclass
class _Plan:
    """What is known of the person, kept until the end so that a cut-off erasure still knows it."""

    person: Person
    made_of: set[str] = field(default_factory=set)
    """Artifacts that were made of something that held the person."""
    stale: set[str] = field(default_factory=set)
    observations: set[str] = field(default_factory=set)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        sets = {name: sorted(getattr(self, name)) for name in ("made_of", "stale", "observations")}
        return {"person": self.person.to_dict(), **sets}

    def joined(self, values: dict[str, Any]) -> _Plan:
        """With what was known before."""
        sets = {name: getattr(self, name) | set(values[name]) for name in ("made_of", "stale", "observations")}
        return _Plan(self.person.joined(Person.of(values["person"])), **sets)


def erase(session: Session, subject: str, reason: str, *, also: Sequence[str] = (), is_dry_run: bool = False) -> Erased:
    """Take a person out of everything the project holds; ``also``: texts to black out in rows of others.

    Going on with one that was cut off is the same call again.
    Raises: RecipeError for no subject or reason, StoreError naming what is under way in the project.
    """
    plain, reason, also = _checked(subject, reason, also)
    hashed = subject_hash(session.workspace.subject_key(), plain)
    folder = make_folder(session.workspace.folder / FOLDER)
    with session.workspace.lock(folder / "lock", wait=False), _nothing_under_way(session):
        _tidy(session, folder)
        if is_dry_run:
            return _forecast(session, _planned(session, Person(hashed, plain, also)))
        ledger = session.ledger
        own = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        one = erasures.begin(ledger.engine, ledger.project, own, hashed, reason, session.actor)
        work = folder / f"{one.id}{WORK}"
        plan = _planned(session, Person(hashed, plain, also))
        if work.is_file():
            plan = plan.joined(json.loads(work.read_text(encoding="utf-8")))
        write_bytes(work, json.dumps(plan.to_dict(), ensure_ascii=False).encode(), mode=0o600)
        made = _carried_out(session, one, plan, folder)
        work.unlink(missing_ok=True)
        return made


def _tidy(session: Session, folder: Path) -> None:
    """Bring to its end what was recorded as done when its process died: the proof file, and what it remembered."""
    for one in erasures.read(session.ledger.engine, session.ledger.project):
        work, proof = folder / f"{one.id}{WORK}", folder / f"{one.id}.json"
        if one.ended is not None and not proof.is_file():
            write_json(proof, one.proof)
        if one.ended is not None:
            work.unlink(missing_ok=True)


def _checked(subject: str, reason: str, also: Sequence[str]) -> tuple[str, str, tuple[str, ...]]:
    plain, reason = subject.strip(), reason.strip()
    if not plain:
        raise RecipeError("who is to be erased is not named", seen="an empty --subject", next="--subject ID")
    if not reason or len(reason) > MOST_REASON_CHARS:
        raise RecipeError(
            "an erasure needs a reason, which is kept",
            seen=f"{len(reason)} characters",
            allowed=f"1 to {MOST_REASON_CHARS} characters",
        )
    kept = tuple(dict.fromkeys(one.strip() for one in also if one.strip()))
    if short := [one for one in kept if len(one) < 3]:
        raise RecipeError(
            "what is to be blacked out would be found in anything", seen=", ".join(short), allowed="3 characters"
        )
    if any(one in reason for one in (plain, *kept)):
        raise RecipeError(
            "the reason is kept, so it must not name the person", seen=reason[:200], next='for example "request 4711"'
        )
    return plain, reason, kept


@contextmanager
def _nothing_under_way(session: Session) -> Iterator[None]:
    """Keep runs that were stopped from going on meanwhile.

    Raises: StoreError naming the run or step that is under way.
    """
    with ExitStack() as held:
        for run in session.ledger.runs():
            folder = session.workspace.root / "runs" / run.id
            if run.status == "running" and folder.is_dir():
                way_out = "wait until it has ended, or end that process with SIGTERM (it can be resumed)"
                with _named(f"the run `{run.id}` is under way", way_out):
                    held.enter_context(session.workspace.lock(folder / "lock", wait=False))
        for lock in sorted((session.workspace.folder / "steps").glob("*/lock")):
            way_out = "wait until it has ended"
            with _named("a step of this project is under way", way_out), session.workspace.lock(lock, wait=False):
                pass
        yield


@contextmanager
def _named(what: str, way_out: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise StoreError(what, seen=error.seen or error.what, next=f"{way_out}, then erase again") from None


# What is looked for


def _planned(session: Session, person: Person) -> _Plan:
    """The person's rows, texts and captured answers, and what was made of them."""
    ledger, blobs = session.ledger, session.workspace.blobs
    kinds = erasures.kinds(ledger.engine, ledger.project)
    digests = blobs.digests()
    folders = [blobs.path(digest) for digest in digests if kinds.get(digest) not in WEIGHTS]
    person.row_ids |= find_rows(folders, person.subject)
    captured = erasures.captured(ledger.engine, ledger.project)
    mine = {id for id, subject, _, _ in captured if subject == person.subject}
    person.row_ids |= mine
    own = [text for id, _, text, _ in captured if id in mine]
    others = [text for id, _, text, _ in captured if id not in mine]
    find_texts(person, folders, others, own)
    plan = _Plan(person, observations=mine)
    for digest in digests:
        if digest not in kinds or kinds[digest] in WEIGHTS or not _holds(blobs.path(digest), person):
            continue
        after = ledger.descendants(digest)
        plan.made_of |= {digest, *after}
        if kinds[digest] in ("splits", "tokens") and _holds(blobs.path(digest), person, LEARNED):
            plan.stale |= {one for one in after if kinds.get(one) in WEIGHTS}
    return plan


def _holds(folder: Path, person: Person, splits: Sequence[str] = ()) -> bool:
    """Whether a table of an artifact has a row of the person; ``splits``: whether one of these splits has."""
    for path in sorted(folder.rglob("*.parquet")):
        if splits and path.name.partition(".")[0] not in splits:
            continue
        schema = pl.read_parquet_schema(path)
        ids = [name for name in schema if name == "row_id" or name.endswith("_row_id")]
        frame = pl.read_parquet(path, columns=ids, memory_map=False)
        if any(frame[name].is_in(sorted(person.row_ids)).any() for name in ids if schema[name] == pl.String):
            return True
    return False


def _forecast(session: Session, plan: _Plan) -> Erased:
    """What an erasure would do."""
    artifacts = []
    for digest, kind, made in _affected(session, plan, writes=False):
        artifacts.append({"digest": digest, "kind": kind, "replaced_by": None, "rows": made.rows})
    return _outcome(session, plan, artifacts=artifacts)


# What is done


def _carried_out(session: Session, one: Erasure, plan: _Plan, folder: Path) -> Erased:
    engine, project, person = session.ledger.engine, session.ledger.project, plan.person
    erasures.mark_stale(engine, project, one.id, plan.stale)
    erasures.forget(engine, project, person.subject, sorted(plan.observations))
    for _ in _affected(session, plan, writes=True, erasure=one.id):
        pass
    erasures.clean_facts(engine, project, lambda value: cleaned(value, person))
    graves = erasures.tombstones(engine, project, one.id)
    kinds = erasures.kinds(engine, project)
    for grave in graves:
        # Of one that was cut off between the record and the bytes.
        if grave.digest not in kinds or grave.replaced_by is None:
            session.workspace.blobs.remove(grave.digest)
    files = clean_steps(session, {grave.digest for grave in graves})
    files += clean_project(session, person, is_watched=bool(plan.observations))
    files += clean_runs(session, person, {end for grave in graves for end in (grave.digest, grave.replaced_by) if end})
    problem = erasures.compact(engine)
    artifacts = [asdict(grave) for grave in graves]
    hits, num_files = _scanned(session, person, folder)
    notes = _notes(session, plan) + ([f"the ledger keeps bytes of deleted rows: {problem}"] if problem else [])
    made = _outcome(session, plan, artifacts, one.id, files, hits, num_files, notes)
    path = folder / f"{one.id}.json"

    def proof(sequence: int) -> dict[str, Any]:
        told = {"reason": one.proof.get("reason"), "by": one.by, "started": one.started.isoformat(timespec="seconds")}
        told["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
        return {**made.to_dict(), **told, "proof": str(path.relative_to(session.workspace.root)), "audit": sequence}

    kept = erasures.finish(engine, project, one.id, one.subject, proof, session.actor)
    write_json(path, kept)
    return Erased(**{name: kept[name] for name in Erased.__dataclass_fields__} | {"proof": str(path)})


def _affected(
    session: Session, plan: _Plan, *, writes: bool, erasure: str = ""
) -> Iterator[tuple[str, str, Rewritten]]:
    """Every artifact that holds the person; with ``writes`` another takes its place, or none where it is numbers."""
    ledger, blobs = session.ledger, session.workspace.blobs
    kinds = erasures.kinds(ledger.engine, ledger.project)
    for digest in blobs.digests():
        kind = kinds.get(digest, "")
        with temporary_folder(session.workspace.folder) as staging:
            out = staging / "payload"
            out.mkdir()
            is_made_of = digest in plan.made_of
            made = rewrite(blobs.path(digest), kind, plan.person, out, write_table, is_made_of=is_made_of)
            if not made.is_other:
                continue
            if writes and kind:
                new = None if made.is_lost else blobs.put(out)[0]
                facts = facts_of(kind, plan.person, made)
                erasures.replace(ledger.engine, ledger.project, erasure, digest, new, kind, facts)
            if writes:
                # What nothing refers to was left by a process that died; it goes without a record.
                blobs.remove(digest)
            yield digest, kind, made


# What is left


def _scanned(session: Session, person: Person, folder: Path) -> tuple[list[Hit], int]:
    """Where something of the person is still found in what belongs to the project, and how many files were read."""
    ledger, workspace = session.ledger, session.workspace
    kinds = erasures.kinds(ledger.engine, ledger.project)
    vocabularies = {digest for digest, kind in kinds.items() if kind in WEIGHTS}
    others = erasures.runs_elsewhere(ledger.engine, ledger.project)

    def leaves_out(path: Path) -> bool:
        parts = path.relative_to(workspace.root).parts
        if parts[0] == "projects" and len(parts) > 1 and parts[1] != ledger.project:
            return True
        is_work = path.parent == folder and path.suffix == WORK
        return is_work or (parts[0] == "runs" and len(parts) > 1 and parts[1] in others)

    def knows_words(path: Path) -> bool:
        return not vocabularies.isdisjoint(path.parts)

    hits, num_files = scan(workspace.root, person, leaves_out, knows_words)
    scanner = Scanner(person)
    by_place: dict[str, list[str]] = {}
    for place, words in erasures.texts_of(ledger.engine, ledger.project):
        by_place.setdefault(place, []).append(words)
    for place, found in sorted(by_place.items()):
        hits += [Hit(kind, f"ledger: {place}", times) for kind, times in sorted(scanner.of_texts(found).items())]
    return _without_other_projects(session, scanner, hits), num_files


def _without_other_projects(session: Session, scanner: Scanner, hits: list[Hit]) -> list[Hit]:
    """The hits without those in the ledger's own file that other projects, which keep theirs, account for."""
    if not any(hit.place.startswith("ledger.db") for hit in hits):
        return hits
    ledger = session.ledger
    everything = scanner.of_texts(words for _, words in erasures.texts_of(ledger.engine, None))
    mine = scanner.of_texts(words for _, words in erasures.texts_of(ledger.engine, ledger.project))
    elsewhere = everything - mine
    return [hit for hit in hits if not (hit.place.startswith("ledger.db") and elsewhere[hit.kind])]


def _notes(session: Session, plan: _Plan) -> list[str]:
    person = plan.person
    notes = []
    if not person.row_ids:
        notes.append("no row and no captured answer was of this subject: check its spelling")
    if not person.is_plain_searched:
        notes.append(f"the identifier has under {LEAST_CHARS} characters: it was not looked for inside texts")
    if person.shared:
        notes.append(f"{person.shared} texts of the person are in rows of others as well, which stay")
    cut_off = [one for one in erasures.read(session.ledger.engine, session.ledger.project) if one.ended is None]
    if num := sum(one.subject != person.subject for one in cut_off):
        notes.append(f"{num} erasures of other people were cut off: ask for them again")
    names = sorted(one.name for one in (session.workspace.root / "projects").iterdir() if one.is_dir())
    if others := [name for name in names if name != session.ledger.project]:
        notes.append(f"other projects were left alone: {', '.join(others)}")
    notes.append("the sources themselves, exported files and backups are out of reach: remove the person there too")
    return notes


def _outcome(
    session: Session,
    plan: _Plan,
    artifacts: list[dict[str, Any]],
    id: str | None = None,
    files: Sequence[str] = (),
    hits: Sequence[Hit] = (),
    num_files: int = 0,
    notes: Sequence[str] = (),
) -> Erased:
    names: dict[str, list[str]] = {digest: [] for digest in sorted(plan.stale)}
    for version in session.ledger.models():
        if version.digest in names:
            names[version.digest].append(f"{version.name}@{version.version}")
    kinds = erasures.kinds(session.ledger.engine, session.ledger.project)
    models = [{"digest": digest, "kind": kinds.get(digest, "model"), "names": found} for digest, found in names.items()]
    return Erased(
        subject=plan.person.subject,
        id=id,
        rows=len(plan.person.row_ids - plan.observations),
        artifacts=artifacts,
        observations=len(plan.observations),
        files=sorted(set(files)),
        models=models,
        shared=plan.person.shared,
        left=[asdict(hit) for hit in hits],
        scanned=num_files,
        notes=list(notes) or _notes(session, plan),
        is_clean=not any(hit.kind != "word" for hit in hits),
        proof=None,
        audit=None,
    )
