"""What all routes share: their documents, how the description shows their rights, and how they refuse.

Rupiah are whole numbers; times carry their offset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Generic, Self, TypeVar, Unpack, cast, get_type_hints

from fastapi import FastAPI, Query, Request
from pydantic import AliasPath, BaseModel, ConfigDict, Field

from sat_hook.application import order_details
from sat_hook.application.pages import MAXIMUM_CURSOR_CHARACTERS, MAXIMUM_PAGE
from sat_hook.application.rights import Right
from sat_hook.web.dependencies import CurrentPerson
from sat_hook.web.errors import PROBLEM_MEDIA_TYPE

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


RIGHTS_MEMBER = "x-sat-rights"


class Problem(BaseModel):
    """An error (RFC 9457). Programs go by ``type`` and ``status``; ``detail`` is for people."""

    type: str = Field(description="the kind of error, one word that never changes")
    title: str
    status: int
    detail: str = Field(description="what was found and what was expected")


_PROBLEMS = {
    400: "the body cannot be read",
    401: "no user, or a token that is not valid any more",
    403: "the user lacks the right, or the request came from another site",
    404: "there is no such thing",
    409: "not possible in the present state",
    413: "the body is too large",
    422: "something in the request cannot be used",
    502: "SAT, or Airflow, did not answer or refused",
    503: "a database cannot be reached, so nothing was done",
}


BINARY = {"type": "string", "format": "binary"}


def route(
    *rights: Right, files: str | None = None, takes: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """The description of a route that needs one of these rights.

    :param files: the media type of its answer, if that is a file.
    :param takes: the schemas of its body by media type, if the route reads the body by itself.
    """
    needed = " or ".join(f"`{right}`" for right in rights)
    responses: dict[int | str, dict[str, Any]] = {
        status: {
            "description": f"{text}; needs {needed}" if status == 403 else text,
            "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, text in _PROBLEMS.items()
    }
    if files is not None:
        content = {media: {"schema": BINARY} for media in files.split()}
        responses[200] = {"description": "the file", "content": content}
    more: dict[str, Any] = {RIGHTS_MEMBER: [right.value for right in rights]}
    if takes is not None:
        bodies = {media: {"schema": schema} for media, schema in takes.items()}
        more["requestBody"] = {"required": True, "content": bodies}
    return {"responses": responses, "openapi_extra": more}


def describe_api(app: FastAPI) -> None:
    """Serve the description of the API at ``/v1/openapi.json``, to users."""

    @app.get("/v1/openapi.json", include_in_schema=False)
    def description(request: Request, _: CurrentPerson) -> dict[str, Any]:
        document = app.openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        return {**document, "servers": [{"url": request.scope.get("root_path") or "/"}]}
