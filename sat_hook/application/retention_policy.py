"""The retention policy: how long each kind of data is kept, from a TOML file with defaults.

The file that ``SAT_RETENTION_FILE`` names::

    run = true                # without it the DAG only says what would go

    [spool]
    keep_days = 400

    [results]
    keep_days = "forever"

Only the file's owner or root may be able to write it. Kinds that it leaves out keep their defaults.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sat_hook.application.errors import RetentionPolicyError
from sat_hook.presentation.hints import did_you_mean
from sat_hook.store.private_files import read_trusted

POLICY_VARIABLE = "SAT_RETENTION_FILE"
MAXIMUM_POLICY_BYTES = 65_536
FOREVER: Literal["forever"] = "forever"
MAXIMUM_DAYS = 36_500


class Kind(StrEnum):
    """The kinds of data that have a term."""

    EVENTS = "events"
    EVIDENCE = "evidence"
    CALLBACKS = "callbacks"
    SPOOL = "spool"
    RESULTS = "results"
    EXPORTS = "exports"
    INTAKE = "intake"
    ALERTS = "alerts"


MINIMUM_DAYS: Mapping[Kind, int | None] = {
    Kind.EVENTS: 62,
    Kind.EVIDENCE: None,
    Kind.CALLBACKS: None,
    Kind.SPOOL: 31,
    Kind.RESULTS: 31,
    Kind.EXPORTS: 1,
    Kind.INTAKE: 31,
    Kind.ALERTS: 31,
}
"""The shortest term of each kind; None: the kind is always kept."""


class Term(BaseModel):
    """How long a kind of data is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    keep_days: int | Literal["forever"]

    @property
    def days(self) -> int | None:
        """The days; None for ever."""
        return None if self.keep_days == FOREVER else int(self.keep_days)


def _days(days: int | Literal["forever"]) -> Term:
    return Term(keep_days=days)


class RetentionPolicy(BaseModel):
    """The term of each kind.

    :param run: whether the DAG removes anything; without it the DAG only says what would go.
    :param require_signed_days: keep everything of a day until the day is signed off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    run: bool = False
    require_signed_days: bool = True
    events: Term = _days(FOREVER)
    evidence: Term = _days(FOREVER)
    callbacks: Term = _days(FOREVER)
    spool: Term = _days(400)
    results: Term = _days(400)
    exports: Term = _days(90)
    intake: Term = _days(400)
    alerts: Term = _days(400)

    def days_of(self, kind: Kind) -> int | None:
        """The term of a kind in days; None for ever."""
        term = getattr(self, kind.value)
        assert isinstance(term, Term)
        return term.days


DEFAULT_POLICY = RetentionPolicy()


@dataclass(frozen=True, slots=True)
class _Wrong:
    key: str
    found: str
    expected: str


def policy_in(name: str) -> RetentionPolicy:
    """Return the policy of a file.

    :param name: the file's path; empty for the defaults.
    :raises RetentionPolicyError: naming file, key, found and expected.
    """
    if not name:
        return DEFAULT_POLICY
    path = Path(name)
    try:
        content = read_trusted(path, MAXIMUM_POLICY_BYTES + 1)
    except OSError as error:
        raise RetentionPolicyError(f"{POLICY_VARIABLE}: {error}") from None
    if len(content) > MAXIMUM_POLICY_BYTES:
        raise RetentionPolicyError(
            f"{path}: found more than {MAXIMUM_POLICY_BYTES:,} bytes; expected a policy"
        )
    try:
        given = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise RetentionPolicyError(f"{path}: found no TOML ({error}); expected a policy in TOML") from None
    try:
        policy = RetentionPolicy.model_validate(given)
    except ValidationError as error:
        wrong = _in_words(error.errors(include_url=False)[0])
    else:
        found = next(_too_short(policy), None)
        if found is None:
            return policy
        wrong = found
    raise RetentionPolicyError(f"{path}: {wrong.key}: found {wrong.found}; expected {wrong.expected}")


def _too_short(policy: RetentionPolicy) -> Iterator[_Wrong]:
    for kind, least in MINIMUM_DAYS.items():
        days = policy.days_of(kind)
        if days is not None and (least is None or not least <= days <= MAXIMUM_DAYS):
            yield _Wrong(f"{kind.value}.keep_days", str(days), _expected(kind))


def _in_words(error: Any) -> _Wrong:
    key = ".".join(str(part) for part in error["loc"] if part not in ("int", "literal['forever']"))
    if error["type"] == "missing":
        return _Wrong(key, "nothing", _expected(Kind(error["loc"][0])))
    if error["type"] == "extra_forbidden":
        known = RetentionPolicy.model_fields if len(error["loc"]) == 1 else Term.model_fields
        expected = f"one of {', '.join(known)}{did_you_mean(str(error['loc'][-1]), known)}"
        return _Wrong(key, "an unknown key", expected)
    found = repr(error["input"])
    top = str(error["loc"][0])
    if top not in list(Kind):
        return _Wrong(key, found, "true or false")
    if len(error["loc"]) == 1:
        return _Wrong(key, found, f"a table with keep_days, for example [{top}]")
    return _Wrong(key, found, _expected(Kind(top)))


def _expected(kind: Kind) -> str:
    least = MINIMUM_DAYS[kind]
    if least is None:
        return f'"{FOREVER}": this release removes no {kind.value}'
    return f'a whole number of days from {least:,} to {MAXIMUM_DAYS:,}, or "{FOREVER}"'
