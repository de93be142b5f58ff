"""What the documents of all routes share. Rupiah are whole numbers; times carry their offset."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import Annotated, Any, Generic, Self, TypeVar, Unpack, cast, get_type_hints

from fastapi import Query
from pydantic import AliasPath, BaseModel, ConfigDict, Field

from sat_hook.application import order_details
from sat_hook.application.cursors import MAXIMUM_CURSOR_CHARACTERS
from sat_hook.application.listings import MAXIMUM_PAGE

Cursor = Annotated[
    str | None, Query(max_length=MAXIMUM_CURSOR_CHARACTERS, description="`next` of the page before")
]
Limit = Annotated[int, Query(ge=1, le=MAXIMUM_PAGE, description="the most items of the page")]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]

T = TypeVar("T")


class Document(BaseModel):
    """Made from the application's rows.

    ``class Batch(Document, of=BatchRow)`` has the members of the row, in its order. An annotation of its own
    replaces a member's type, or adds a member.
    """

    model_config = ConfigDict(from_attributes=True, frozen=True, validate_by_name=True)

    def __init_subclass__(
        cls, *, of: type | None = None, without: Collection[str] = (), **config: Unpack[ConfigDict]
    ) -> None:
        super().__init_subclass__(**config)
        if of is not None:
            members = {name: of_row for name, of_row in get_type_hints(of).items() if name not in without}
            cls.__annotations__ = members | cls.__annotations__


def at(*path: str) -> Any:
    """A member that stands at another place of the row: its names from the row down."""
    return Field(validation_alias=AliasPath(*path))


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

    @classmethod
    def of(cls, rows: Iterable[object]) -> Self:
        """The only page of a list."""
        return cls.model_validate({"items": tuple(rows)})


class HistoryEntry(Document, of=order_details.HistoryEntry, without=("digest",)):
    """One event of an order or a batch, without customers' data."""
