"""docker-compose.yaml as Compose would see it: variables put in, anchors resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = CHECKOUT / "docker-compose.yaml"

_VARIABLE = re.compile(
    r"(?<!\$)\$\{(?P<name>[A-Z0-9_]+)(?:(?P<kind>:-|:\?)(?P<rest>[^}]*))?\}|(?<!\$)\$(?P<bare>[A-Za-z_]\w*)"
)


@dataclass(frozen=True, slots=True)
class Use:
    """One place where the file reads a variable: ``:?`` requires it, ``:-`` gives a default."""

    name: str
    kind: str
    rest: str


def uses() -> list[Use]:
    """Every use of a variable, comments left out."""
    text = "\n".join(line for line in _text().splitlines() if not line.lstrip().startswith("#"))
    return [
        Use(found["name"] or found["bare"], found["kind"] or "", found["rest"] or "")
        for found in _VARIABLE.finditer(text)
    ]


def composed(environment: Mapping[str, str]) -> dict[str, Any]:
    """The document with ``environment`` put in.

    :raises KeyError: a required variable is missing or empty.
    """

    def value(found: re.Match[str]) -> str:
        name = found["name"] or found["bare"]
        given = environment.get(name, "")
        if given or found["kind"] is None:
            return given
        if found["kind"] == ":?":
            raise KeyError(name)
        return str(found["rest"])

    document: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(value, _text()))
    return document


def example_environment() -> dict[str, str]:
    """The assignments of .env.example."""
    lines = (CHECKOUT / ".env.example").read_text("utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _text() -> str:
    return COMPOSE_FILE.read_text("utf-8")
