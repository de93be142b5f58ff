"""Output for programs instead of people: what the API answered, as JSON or as CSV."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

Document = Mapping[str, Any]


class Form(StrEnum):
    """How a command writes what it found."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


Output = Annotated[
    Form,
    typer.Option("--output", "-o", help="For people, or for programs what the API answered (docs/api.md)"),
]
"""The option of every command that lists or shows. A command that writes a file has ``--output FILE``."""


def is_written(found: Document | Iterable[Document], form: Form) -> bool:
    """Write a document, or a list of them, for a program; False when people want a table.

    JSON is one document or one list. CSV has a row for each document and a column for each member; a member
    that is itself a document or a list is JSON in its cell, and no text runs as a formula in a spreadsheet.
    """
    match form:
        case Form.JSON:
            whole = found if isinstance(found, Mapping) else list(found)
            print(json.dumps(whole, ensure_ascii=False, indent=2))
        case Form.CSV:
            _write_csv([found] if isinstance(found, Mapping) else list(found))
    return form is not Form.TABLE


def _write_csv(documents: list[Document]) -> None:
    from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter

    titles = list(dict.fromkeys(name for document in documents for name in document))
    writer = SpreadsheetWriter(sys.stdout)
    if titles:
        writer.row(titles)
    for document in documents:
        writer.row(_cell(document.get(title)) for title in titles)


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list, bool)) else value
