"""Errors that the stack's commands report as a message; any other error is a bug and keeps its traceback."""

from __future__ import annotations


class StackError(RuntimeError):
    """Base of the errors whose text is shown to the user."""
