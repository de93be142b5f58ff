"""The reason that a person gives for an action: one rule for every action that needs one."""

from __future__ import annotations

from sat_hook.commands.errors import ReasonRefusedError
from sat_hook.presentation.spreadsheet_cells import first_control

MINIMUM_REASON_CHARACTERS = 3
MAXIMUM_REASON_CHARACTERS = 500


def checked_reason(reason: str) -> str:
    """The reason as recorded, on one line.

    :raises ReasonRefusedError: when it is empty or too long.
    """
    text = " ".join(reason.split())
    if not MINIMUM_REASON_CHARACTERS <= len(text) <= MAXIMUM_REASON_CHARACTERS:
        raise ReasonRefusedError(
            f"reason: found {len(text)} characters; expected {MINIMUM_REASON_CHARACTERS} to "
            f"{MAXIMUM_REASON_CHARACTERS}, which say why"
        )
    if control := first_control(text):
        raise ReasonRefusedError(f"reason: found {control}; expected text without control characters")
    return text
