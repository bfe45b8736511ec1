"""What a model is asked, read as the rows that it learned from were."""

from __future__ import annotations

from typing import Any

from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import DataError
from tunesmith.data.formats import messages
from tunesmith.data.formats.draft import Fault
from tunesmith.data.formats.order import asked
from tunesmith.data.formats.reading import Reading


def conversation_asked(listed: Any, tools: Any = None) -> Conversation:
    """The conversation of a list of messages, which needs no answer yet.

    Raises: DataError with the reason that a row of training would have been refused for.
    """
    try:
        return asked(messages.read({"messages": listed, "tools": tools}, Reading()))
    except Fault as fault:
        raise DataError(
            f"these messages cannot be read: {fault.reason}",
            seen=fault.seen or None,
            allowed='a list of {"role": "user", "content": "…"}',
        ) from None
