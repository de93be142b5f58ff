"""docs/limits.md has every limit with the default that it really has."""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel

from sat_hook.pipeline import limits
from tests.docs.pages import page, rows

PAGE = page("docs/limits.md")
PLACES = re.findall(r"(?m)^## [^`\n]+: `([\w.:]+)`$", PAGE.text)


def defaults_at(place: str) -> dict[str, Any]:
    """Name → default of what a heading names: ``module`` (its constants) or ``module:Class`` (its fields)."""
    module_name, _, class_name = place.partition(":")
    module = import_module(module_name)
    if not class_name:
        return constants_of(vars(module))
    kind = getattr(module, class_name)
    if issubclass(kind, BaseModel):
        return {name: field.default for name, field in kind.model_fields.items()}
    return {field.name: field.default for field in dataclasses.fields(kind)}


def constants_of(members: dict[str, Any]) -> dict[str, Any]:
    """Numbers under names in capitals."""
    return {
        name: value
        for name, value in members.items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int | float)
    }


def documented_at(place: str) -> dict[str, float | tuple[float, ...] | None]:
    """Name → default as the page has it."""
    heading = next(line for line in PAGE.text.splitlines() if line.endswith(f"`{place}`"))
    table = rows(PAGE.section(heading.removeprefix("## ")))
    return {cells[0].strip("`"): number_in(cells[1]) for cells in table if cells[0].startswith("`")}


def number_in(cell: str) -> float | tuple[float, ...] | None:
    """``none``, ``1,000``, or ``1 and 7``."""
    if cell == "none":
        return None
    numbers = tuple(float(number.replace(",", "")) for number in cell.split(" and "))
    return numbers if len(numbers) > 1 else numbers[0]


@pytest.mark.parametrize("place", PLACES)
def test_defaults_are_those_of_the_code(place: str) -> None:
    """Each documented name exists, with this default."""
    actual = defaults_at(place)
    documented = documented_at(place)
    assert documented
    assert {name: actual[name] for name in documented} == documented


def test_every_limit_of_the_pipeline_is_there() -> None:
    """All classes of sat_hook/pipeline/limits.py, with all their fields."""
    for name, member in vars(limits).items():
        if dataclasses.is_dataclass(member) and isinstance(member, type):
            place = f"{limits.__name__}:{name}"
            assert place in PLACES, f"docs/limits.md has no section for {place}"
            assert documented_at(place).keys() == {field.name for field in dataclasses.fields(member)}


@pytest.mark.parametrize("place", ["sat_hook.receiver.settings:Limits", "sat_hook.store.database"])
def test_every_limit_of_other_places_is_there(place: str) -> None:
    """Where a place is all limits, none is left out."""
    assert documented_at(place).keys() == defaults_at(place).keys()


def test_limits_of_a_connection_are_there() -> None:
    """Every numeric setting of an account."""
    place = "sat_hook.clients.settings:AccountSettings"
    numeric = {
        name
        for name, default in defaults_at(place).items()
        if (isinstance(default, int | float) and not isinstance(default, bool)) or default is None
    }
    assert documented_at(place).keys() == numeric - {"signer", "verifier"}
