"""Who may do what: four roles, their rights, and the right that each public verb asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tunesmith.core.actor import ROLES, Actor, Role
from tunesmith.core.errors import Denied

Right = Literal["read", "predict", "feedback", "run", "approve", "rollback", "audit", "keys", "erase", "reveal"]

ALLOWED: Mapping[Right, frozenset[Role]] = {
    "read": frozenset(ROLES),
    "predict": frozenset(ROLES),
    "feedback": frozenset(ROLES),
    "run": frozenset({"engineer", "admin"}),
    "approve": frozenset({"approver", "admin"}),
    "rollback": frozenset({"approver", "admin"}),
    "audit": frozenset({"approver", "admin"}),
    "keys": frozenset({"admin"}),
    "erase": frozenset({"admin"}),
    # Pseudonyms led back are the persons themselves.
    "reveal": frozenset({"admin"}),
}

VERBS: Mapping[str, Right] = {
    # A plan reads the sources and keeps what it prepared of them: it is the beginning of a run.
    "plan": "run",
    "show_rows": "run",
    "suggest": "run",
    "run": "run",
    "train": "run",
    "resume": "run",
    "demo": "run",
    "retrain": "run",
    "load": "predict",
    "predict_file": "predict",
    "export": "predict",
    "explain": "predict",
    "texts_to_explain": "predict",
    "serve": "predict",
    "models": "read",
    "model_card": "read",
    "evaluate": "read",
    "compare": "read",
    "monitor": "read",
    "feedback": "feedback",
    "approve": "approve",
    "rollback": "rollback",
    "audit_entries": "audit",
    "audit_verify": "audit",
    "audit_anchor": "keys",
    "users": "keys",
    "add_user": "keys",
    "disable_user": "keys",
    "make_key": "keys",
    "revoke_key": "keys",
    "erase": "erase",
    "withdraw": "erase",
    "reveal": "reveal",
}
"""The right that each verb of ``api`` asks for."""

FREE = frozenset({"init", "doctor", "load_recipe", "demo_home", "open_session"})
"""Verbs that need none: they read or change nothing that a project holds. ``open_session`` names who acts."""


def may(actor: Actor, right: Right) -> bool:
    """Whether an actor's role has a right."""
    return actor.role in ALLOWED[right]


def require(actor: Actor, right: Right) -> None:
    """Let an actor with the right pass.

    Raises: Denied naming the roles that have it.
    """
    if not may(actor, right):
        raise Denied(
            f"`{actor.name}` may not do this: it needs the right `{right}`",
            seen=f"role {actor.role}",
            allowed=", ".join(role for role in ROLES if role in ALLOWED[right]),
            next="ask someone with such a role, or an admin for another role",
        )
