"""People's words for settlement files: whether they count, and what a mapping can say."""

from __future__ import annotations

from collections.abc import Mapping

from sat_hook.application.settlements import FileStanding
from sat_hook.domain.settlement_mapping import ClientNumberForm, DateOrder, NegativeForm
from sat_hook.web.console.break_words import ROW_KINDS as ROW_KINDS
from sat_hook.web.console.break_words import ROW_STATUSES as ROW_STATUSES
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.words import Words

STANDINGS: Mapping[FileStanding, Words] = {
    FileStanding.COUNTS: Words(_("counts"), "good"),
    FileStanding.REPLACED: Words(_("replaced by a later file")),
    FileStanding.LOST: Words(_("lost where it is kept"), "bad"),
    FileStanding.UNUSABLE: Words(_("cannot be used"), "bad"),
    FileStanding.UNDECIDED: Words(_("a person must choose"), "wait"),
}

OTHER_KINDS: Mapping[str, str] = {"header": _("header"), "other": _("not an order")}

DELIMITERS: Mapping[str, str] = {
    ",": _("comma"),
    ";": _("semicolon"),
    "tab": _("tab"),
    "|": _("vertical bar"),
}
MARKS: Mapping[str, str] = {"": _("none"), ".": _("point"), ",": _("comma"), " ": _("space")}
ENCODINGS = ("utf-8-sig", "cp1252", "utf-16", "latin-1")
DATE_ORDERS: Mapping[DateOrder, str] = {
    DateOrder.YEAR_FIRST: _("year first, 2026-11-22"),
    DateOrder.DAY_FIRST: _("day first, 22/11/2026"),
    DateOrder.MONTH_FIRST: _("month first, 11/22/2026"),
}
NEGATIVES: Mapping[NegativeForm, str] = {
    NegativeForm.LEADING_MINUS: "-1",
    NegativeForm.UNICODE_MINUS: "−1",
    NegativeForm.TRAILING_MINUS: "1-",
    NegativeForm.PARENTHESES: "(1)",
}
NUMBER_FORMS: Mapping[ClientNumberForm, str] = {
    ClientNumberForm.EXACT: _("as it was sent"),
    ClientNumberForm.NORMALISED: _("62812… and 812… are 0812…"),
}
