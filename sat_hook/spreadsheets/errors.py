"""Errors of reading a workbook."""

from __future__ import annotations


class WorkbookError(ValueError):
    """A workbook cannot be read; the text says what was found and what was expected, without its name."""


class WorkbookTornError(WorkbookError):
    """A workbook is cut or damaged, or no workbook at all."""


class WorkbookLimitError(Exception):
    """A limit would be exceeded; the text says what was found and what was expected."""
