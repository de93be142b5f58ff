"""What the documents of the API take from the application's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sat_hook.web.api.models import Document, Page, at


class Inner(NamedTuple):
    """A part of a row."""

    name: str


@dataclass(frozen=True)
class Row:
    """What a use case returns."""

    number: int
    inner: Inner
    secret: str = ""


class Part(Document, of=Inner):
    """A part."""


class Shown(Document, of=Row, without=("secret",)):
    """A row as a document."""

    inner: Part
    name: str = at("inner", "name")


def test_a_document_has_the_members_of_its_row() -> None:
    """In the row's order, without those left out; its own come after, or instead."""
    shown = {"number": 7, "inner": {"name": "x"}, "name": "x"}
    assert Shown.model_validate(Row(7, Inner("x"), "hidden")).model_dump() == shown
    assert list(Shown.model_fields) == list(shown)
    assert Page[Shown].of([Row(7, Inner("x"))]).model_dump() == {"items": (shown,), "next": None}
