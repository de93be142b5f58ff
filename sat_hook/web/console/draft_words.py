"""What a check finds in a row, for a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sat_hook.application.draft_views import DraftRow
from sat_hook.domain.identity import request_id_of
from sat_hook.web.console.language import Wording
from sat_hook.web.console.row_words import FINDINGS


class EarlierOrder(NamedTuple):
    """An order that a row repeats. ``file_name`` is empty for one of the same file."""

    request_id: str
    row: int
    state: str
    file_name: str
    maker: str
    submitted_at: datetime | None


class ShownFinding(NamedTuple):
    """A finding of a row for a page.

    :param said: what is wrong, and what to do.
    :param place: of the cell that it is about, from 1; 0 when it is about the row.
    :param mend: the text that probably was meant; empty when there is none.
    :param earlier: the order that the row repeats, if any.
    """

    said: str
    place: int
    mend: str
    earlier: EarlierOrder | None


def shown_findings(
    row: DraftRow, columns: Sequence[str | None], account: str, wording: Wording
) -> list[ShownFinding]:
    """The findings of a row in the person's language."""
    return [_shown(one, row, columns, account, wording) for one in row.findings]


def sentence(code: str, message: str, facts: Mapping[str, Any], wording: Wording) -> str:
    """What is wrong and what to do, in the person's language; ``message`` for a code without words."""
    known = FINDINGS.get(code)
    fields = {
        name: wording.rupiah(value) if name.endswith("_rupiah") else value for name, value in facts.items()
    }
    return wording.text(known) % fields if known else message


def _shown(
    one: Mapping[str, Any], row: DraftRow, columns: Sequence[str | None], account: str, wording: Wording
) -> ShownFinding:
    told, column = one["parameters"], one["column"]
    place = columns.index(column) + 1 if column in columns else int(column) if column.isdecimal() else 0
    cell = row.cells[place - 1] if 0 < place <= len(row.cells) else ""
    return ShownFinding(
        sentence(one["code"], one["message"], told, wording),
        place,
        told.get("nearest") or _meant(one["code"], cell),
        _earlier(told, account),
    )


def _earlier(told: Mapping[str, Any], account: str) -> EarlierOrder | None:
    if "row" not in told:
        return None
    at = told.get("submitted_at")
    return EarlierOrder(
        request_id_of(account, told["order_id"]),
        told["row"],
        told["state"],
        told.get("file_name", ""),
        told.get("maker", ""),
        datetime.fromisoformat(at) if at else None,
    )


def _meant(code: str, cell: str) -> str:
    """A number or an amount without the marks that people write into it; empty when that is not certain."""
    if code == "bad_client_number" and not re.search(r"[^0-9 +().-]", cell):
        digits = re.sub(r"\D", "", cell)
        local = re.sub(r"^62(?=8)", "0", digits)
        return local if 4 <= len(local) <= 20 and local != cell else ""
    if code == "thousand_separator" and re.fullmatch(
        r"[1-9]\d{0,2}(?:\.\d{3})+|[1-9]\d{0,2}(?:,\d{3})+", cell
    ):
        return re.sub(r"\D", "", cell)
    return ""
