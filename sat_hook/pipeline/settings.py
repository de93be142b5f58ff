"""Limits that a deployment sets for itself, by environment variables read once, when a process starts."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")
N = TypeVar("N", int, float)


variables: set[str] = set()
"""Every variable that sets a limit."""


class BadLimitError(ValueError):
    """An environment variable does not hold the kind of number that its limit is."""


def limit(variable: str, default: N, environment: Mapping[str, str] = os.environ) -> N:
    """The number in ``variable``, or ``default`` where nothing is set.

    :raises BadLimitError: when it is no number above zero, or not a whole one where the default is whole.
    """
    variables.add(variable)
    text = environment.get(variable, "").strip()
    if not text:
        return default
    kind = type(default)
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not (math.isfinite(value) and value > 0):
        expected = "a whole number" if kind is int else "a number"
        raise BadLimitError(f"environment variable {variable}: found {text!r}; expected {expected} above 0")
    return value


def settable(prefix: str, environment: Mapping[str, str] = os.environ) -> Callable[[type[T]], type[T]]:
    """Class decorator for a dataclass of limits: ``<prefix><FIELD>`` sets the default of a numeric field.

    What a caller passes still counts more: a run's parameter, a connection's own setting.

    :raises BadLimitError: when the class is made, so that a process with a wrong or misspelled limit does not
        start.
    """

    def set_defaults(kind: type[T]) -> type[T]:
        fields = dataclasses.fields(kind)  # type: ignore[arg-type]
        names = {prefix + field.name.upper() for field in fields if isinstance(field.default, int | float)}
        unknown = sorted(name for name in environment if name.startswith(prefix) and name not in names)
        if unknown:
            raise BadLimitError(
                f"environment variable {unknown[0]}: no such limit; there are {sorted(names)}"
            )
        defaults = tuple(
            limit(prefix + field.name.upper(), field.default, environment)
            if isinstance(field.default, int | float)
            else field.default
            for field in fields
        )
        vars(kind)["__init__"].__defaults__ = defaults
        return kind

    return set_defaults
