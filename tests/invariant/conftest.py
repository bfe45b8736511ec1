"""What the proofs of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.step_process import StepServer

IMPORTS = (
    "tunesmith.training.stage",
    "tunesmith.training.language.stage",
    "tunesmith.training.methods.classify",
    "tunesmith.training.methods.sft",
    "transformers.models.bert.modeling_bert",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.models.llama.modeling_llama",
    "transformers.models.auto.modeling_auto",
    "peft",
)
"""What the steps of these tests load in their first seconds."""


@pytest.fixture(scope="session")
def step_server() -> Iterator[StepServer]:
    """Starts steps that can be killed."""
    with StepServer(IMPORTS) as server:
        yield server
