"""What the owner of a draft sees: its state, its rows page by page, and what the last check found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sat_hook.pipeline.batch_check import BatchCheck
from sat_hook.pipeline.draft import Draft
from sat_hook.pipeline.order_sheet import SheetRow, edited
from sat_hook.pipeline.row_findings import Light, RowFinding
from sat_hook.store.order_drafts import ROWS_OF_A_PART, OrderDrafts, StoredDraft

MAXIMUM_PAGE_ROWS = 500
LEFT_OUT = "left_out"
_LETTERS = {light.value: light.letter for light in Light}


@dataclass(frozen=True, slots=True)
class DraftView:
    """A draft as its owner sees it.

    :param check: the outcome of the last check, as JSON; ``is_checked`` tells whether nothing changed since.
    """

    draft_id: str
    version: int
    created_at: datetime
    changed_at: datetime
    draft: Draft
    check: Mapping[str, Any] | None
    is_checked: bool


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A row of a draft.

    :param cells: as they would be submitted; ``changed`` are the places, from 1, that a person changed.
    :param light: ``green``, ``amber``, ``red`` or ``left_out``; empty before the first check.
    """

    row_number: int
    cells: tuple[str, ...]
    changed: tuple[int, ...]
    light: str
    findings: tuple[dict[str, Any], ...]


class DraftPage(NamedTuple):
    """Some rows, and the index to continue after; None after the last."""

    rows: list[DraftRow]
    next_after: int | None


def page_of(drafts: OrderDrafts, stored: StoredDraft, light: str | None, after: int, limit: int) -> DraftPage:
    """Some rows of a draft, from an index on. The rows that are left out are indexed among themselves."""
    draft, limit = state_of(stored), min(max(limit, 1), MAXIMUM_PAGE_ROWS)
    left_out, edits = draft.rows_left_out, draft.edits
    if light == LEFT_OUT:
        numbers = sorted(left_out)[after : after + limit + 1]
        more = after + limit if len(numbers) > limit else None
        rows, found = _parts(drafts, stored, stored.parts_with(numbers[:limit]))
        chosen = [number for number in numbers[:limit] if number in rows]
    else:
        places = list(places_of(stored.lights, draft.rows, light, after, limit + 1))
        more = places[limit] if len(places) > limit else None
        parts = sorted({place // ROWS_OF_A_PART for place in places[:limit]})
        rows, found = _parts(drafts, stored, parts)
        at, loaded = {part: start * ROWS_OF_A_PART for start, part in enumerate(parts)}, list(rows)
        chosen = [loaded[at[place // ROWS_OF_A_PART] + place % ROWS_OF_A_PART] for place in places[:limit]]
    shown = []
    for number in chosen:
        place, row = rows[number]
        changed = edits.get(number, {})
        shown.append(
            DraftRow(
                number,
                tuple(edited(row.cells, changed)),
                tuple(sorted(changed)),
                LEFT_OUT if number in left_out else _light(stored.lights[place : place + 1]),
                tuple(one._asdict() for one in found.get(number, ())),
            )
        )
    return DraftPage(shown, more)


def _parts(
    drafts: OrderDrafts, stored: StoredDraft, parts: Sequence[int]
) -> tuple[dict[int, tuple[int, SheetRow]], dict[int, list[RowFinding]]]:
    """The rows of some parts with their indexes, and their findings, by row number."""
    if not parts:
        return {}, {}
    loaded = drafts.rows(stored.draft_id, parts)
    indexes = (part * ROWS_OF_A_PART + place for part in parts for place in range(ROWS_OF_A_PART))
    rows = {
        number: (index, sheet_row(number, row)) for index, (number, row) in zip(indexes, loaded, strict=False)
    }
    return rows, findings_of(drafts, stored, parts)


def findings_of(
    drafts: OrderDrafts, stored: StoredDraft, parts: Sequence[int] | None = None
) -> dict[int, list[RowFinding]]:
    """What the last check found in some parts, or in all, by row number."""
    if not stored.lights:
        return {}
    found = drafts.findings(stored.draft_id, parts)
    return {number: [RowFinding(*one) for one in findings] for number, findings in found}


def state_of(stored: StoredDraft) -> Draft:
    return Draft.model_validate(stored.document)


def view_of(stored: StoredDraft) -> DraftView:
    """A draft as its owner sees it."""
    return DraftView(
        stored.draft_id,
        stored.version,
        stored.created_at,
        stored.changed_at,
        state_of(stored),
        stored.summary,
        is_checked=stored.checked_version == stored.version,
    )


def sheet_row(number: int, stored: Any) -> SheetRow:
    cells, kinds = stored
    return SheetRow(number, tuple(cells), kinds)


def summary_of(found: BatchCheck) -> dict[str, Any]:
    """A check without its rows, which are kept beside it."""
    known = found.known_batch
    return {
        "account": found.account,
        "pause_reason": found.pause_reason,
        "rows": found.rows,
        "known_rows": found.known_rows,
        "payable": found.payable,
        "bills": found.bills,
        "total_rupiah": found.total_rupiah,
        "saldo_rupiah": found.saldo_rupiah,
        "free_rupiah": found.free_rupiah,
        "needs_approval": found.needs_approval,
        "approvers": found.approvers,
        "rules": asdict(found.rules),
        "products": [one._asdict() for one in found.products],
        "needs": [one._asdict() for one in found.needs],
        "known_batch": None if known is None else {"batch_id": known.batch_id, "state": known.state.value},
        "missing_rupiah": found.missing_rupiah,
        "deposit_afterwards_rupiah": found.free_rupiah - found.total_rupiah,
        "needs_in_words": found.needs_in_words,
        "green": found.lights.count(Light.GREEN.letter),
        "amber": found.lights.count(Light.AMBER.letter),
        "red": found.lights.count(Light.RED.letter),
    }


def by_parts(
    rows: Sequence[SheetRow], draft: Draft, found: BatchCheck
) -> tuple[bytes, list[list[tuple[int, Any]]]]:
    """A letter for each row of the draft, and the findings of each part of its rows."""
    lights = dict(zip(found.row_numbers, found.lights, strict=True))
    by_row: dict[int, list[RowFinding]] = {}
    for finding in (*found.findings, *found.remarks):
        by_row.setdefault(finding.row_number, []).append(finding)
    left_out = draft.rows_left_out
    nothing = ord("-")
    letters = bytes(
        nothing if row.row_number in left_out else lights.get(row.row_number, nothing) for row in rows
    )
    parts = [
        [(row.row_number, by_row[row.row_number]) for row in part if row.row_number in by_row]
        for part in (rows[start : start + ROWS_OF_A_PART] for start in range(0, len(rows), ROWS_OF_A_PART))
    ]
    return letters, parts


def places_of(lights: bytes, rows: int, light: str | None, after: int, limit: int) -> Iterator[int]:
    """The indexes of rows of a light from an index on."""
    if light is None:
        yield from range(after, min(rows, after + limit))
        return
    letter, at = _LETTERS.get(light, b"?"), after
    for _ in range(limit):
        at = lights.find(letter, at)
        if at < 0:
            return
        yield at
        at += 1


def _light(letter: bytes) -> str:
    return next((name for name, one in _LETTERS.items() if one == letter), "")
