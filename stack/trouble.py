"""What the stack's commands report in plain words; anything else is a defect and keeps its traceback."""

from __future__ import annotations


class StackError(RuntimeError):
    """Base of the errors whose text is made for the person at the terminal."""
