"""What the documents of all routes share. Rupiah are whole numbers; times carry their offset."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, cast

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from sat_hook.application.cursors import MAXIMUM_CURSOR_CHARACTERS
from sat_hook.application.listings import MAXIMUM_PAGE

Cursor = Annotated[
    str | None, Query(max_length=MAXIMUM_CURSOR_CHARACTERS, description="`next` of the page before")
]
Limit = Annotated[int, Query(ge=1, le=MAXIMUM_PAGE, description="the most items of the page")]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]

T = TypeVar("T")


class Document(BaseModel):
    """Made from the application's rows."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


def members_of(details: object) -> dict[str, Any]:
    """The members of an application's row."""
    return {field.name: getattr(details, field.name) for field in fields(cast("Any", details))}


def rows_of(details: object, *, row: str) -> dict[str, Any]:
    """The members of a row's details, with the row itself under its own name."""
    members = members_of(details)
    return {row: members.pop("row"), **members}


class Page(Document, Generic[T]):
    """A page of a list. ``next`` is the cursor of the next page, null at the end."""

    items: tuple[T, ...]
    next: str | None = None


class HistoryEntry(Document):
    """One event of an order or a batch, without customers' data."""

    position: int
    version: int
    kind: str
    at: datetime
    actor: str
    cause: str
    parameters: dict[str, Any]
