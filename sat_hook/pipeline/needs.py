"""The rows of a batch that need a person, in words: refused, rejected, held or escalated, and why."""

from __future__ import annotations

from collections.abc import Iterable

from sat_hook.store.event_store import Need

_VERBS = {"refused": "", "rejected": "", "held": "held for ", "escalated": "escalated: "}


def rows_in_need(needs: Iterable[Need]) -> int:
    """How many rows they are together."""
    return sum(need.rows for need in needs)


def needs_in_words(rows: int, needs: Iterable[Need]) -> str:
    """``25 of 29 rows need you: 13 missing_value, 12 unknown_product``; empty when no row does.

    :param rows: how many the batch has.
    """
    found = tuple(needs)
    if not found:
        return ""
    wanting = rows_in_need(found)
    subject = f"{wanting:,} of {rows:,} rows {'needs' if wanting == 1 else 'need'} you"
    return f"{subject}: {', '.join(map(_reason, found))}"


def _reason(need: Need) -> str:
    return f"{need.rows:,} {_VERBS.get(need.standing, '')}{need.code or need.standing}"
