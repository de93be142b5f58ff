"""The documents of the books: breaks, top-ups, settlement files. Rupiah are whole numbers; days are WIB."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from sat_hook.application.break_rows import BreakAct
from sat_hook.application.settlements import FileStanding, Upload
from sat_hook.application.top_ups import OfferedTopUp
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.suggestions import SuggestionKind
from sat_hook.web.api.models import Document, Page
from sat_hook.web.api.orders import Order


class Break(Document):
    """A break. ``amount_rupiah`` is theirs less ours."""

    break_id: str
    account: str
    day: date
    first_seen: date
    age_days: int
    category: BreakCategory
    match: str
    state: BreakState
    what: str
    ours: str
    theirs: str
    amount_rupiah: int
    request_id: str | None
    order_id: str | None
    is_adjustment: bool
    reason: str | None
    decided_by: str | None
    assignee: str
    comments: int
    files: int


class BreakPage(Page[Break]):
    """A page of breaks. ``size_rupiah`` adds up all amounts without signs."""

    count: int
    is_more: bool
    size_rupiah: int


class AgeBand(Document):
    """Breaks of an age band."""

    name: str
    breaks: int
    size_rupiah: int


class TrendDay(Document):
    """What the closes of a day carried forward."""

    day: date
    bands: tuple[AgeBand, ...]


class Ageing(Document):
    """How old standing breaks are now, and at the last closes."""

    bands: tuple[AgeBand, ...]
    trend: tuple[TrendDay, ...]


class SignedSeen(Document):
    """A status that SAT signed, without goods."""

    status: str
    price_rupiah: int | None
    observed_at: datetime
    evidence_digest: str
    position: int


class CallbackOfBreak(Document):
    """A verified callback about the order."""

    received_at: datetime
    key_fingerprint: str
    repeats: int
    is_waiting: bool


class FileRow(Document):
    """A row of the settlement file as its mapping reads it."""

    number: int
    kind: str
    status: str
    rupiah: int
    product_code: str
    moment: datetime | None
    trouble: str


class FileEvidence(Document):
    """The settlement file that a break names."""

    name: str
    digest: str
    row_numbers: tuple[int, ...]
    rows: tuple[FileRow, ...]
    is_too_large: bool


class Suggestion(Document):
    """A suggested explanation, with the facts that speak for it."""

    kind: SuggestionKind
    facts: dict[str, int | str]


class BreakEntry(Document):
    """Something that a person did about a break: ``decided``, ``assigned``, ``comment`` or ``file``."""

    kind: str
    at: datetime
    user: str
    text: str
    state: BreakState | None
    digest: str
    size_bytes: int


class BreakDetails(Document):
    """A break with its evidence side by side."""

    row: Break
    closed_day: date
    positions: tuple[int, ...]
    response_digest: str | None
    order: Order | None
    signed: tuple[SignedSeen, ...]
    callbacks: tuple[CallbackOfBreak, ...]
    file: FileEvidence | None
    suggestions: tuple[Suggestion, ...]
    entries: tuple[BreakEntry, ...]
    is_listed: bool


class UndoneBreak(Document):
    """A break that cannot be decided."""

    break_id: str
    code: str
    text: str


class BreakGroup(Document):
    """Breaks of a decision by category and present state. ``size_rupiah`` has no signs."""

    category: BreakCategory
    state: BreakState
    breaks: int
    size_rupiah: int


class BreakPreview(Document):
    """What a decision would do. ``digest`` goes into the decision."""

    decision: BreakAct = Field(validation_alias="act")
    digest: str
    breaks: int
    amount_rupiah: int
    size_rupiah: int
    accounts: tuple[str, ...]
    by_category: tuple[BreakGroup, ...]
    undone: tuple[UndoneBreak, ...]
    undone_count: int


class Decided(Document):
    """How many breaks were changed."""

    breaks: int


class Rise(Document):
    """A rise of the deposit that our own orders do not explain."""

    rupiah: int
    since: datetime
    observed_at: datetime


class RiseOfAccount(Rise):
    """A rise of the deposit of an account."""

    account: str


class TopUp(Document):
    """A recorded top-up; ``reversed_by`` is null while it counts."""

    account: str
    reference: str
    rupiah: int
    credited_at: datetime
    note: str
    recorded_by: str
    recorded_at: datetime
    position: int
    rise: Rise | None
    reversed_by: str | None
    reversed_at: datetime | None
    reversal_reason: str


class TopUpPage(Page[TopUp]):
    """A page of top-ups, and rises that have none."""

    rises: tuple[RiseOfAccount, ...]


class StatementLine(Document):
    """A movement of the bank account that may be a top-up. ``rupiah`` is negative when money left it."""

    number: int
    day: date
    rupiah: int
    reference: str
    text: str
    credited_at: datetime
    rise: Rise | None
    is_known: bool


class LineTrouble(Document):
    """A line that cannot be read."""

    number: int
    what: str


class Statement(Document):
    """A bank's statement beside what is recorded."""

    account: str
    kind: str
    offered: tuple[StatementLine, ...]
    troubles: tuple[LineTrouble, ...]


class RecordedTopUps(Document):
    """What became of several top-ups, by reference; refused ones with the reason."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


def offered_of(offered: OfferedTopUp) -> StatementLine:
    """A line of a statement as a document."""
    line = offered.line
    return StatementLine(
        number=line.number,
        day=line.day,
        rupiah=line.rupiah,
        reference=line.reference,
        text=line.text,
        credited_at=offered.credited_at,
        rise=None if offered.rise is None else Rise.model_validate(offered.rise),
        is_known=offered.is_known,
    )


class SettlementFile(Document):
    """A settlement file; ``why`` it does not count, if it does not."""

    account: str
    day: date
    name: str
    digest: str
    standing: FileStanding
    rows: int | None
    size_bytes: int | None
    at: datetime
    brought_by: str
    why: str
    position: int


class KeptMapping(Document):
    """A mapping that was kept by its name."""

    account: str
    name: str
    mapping: SettlementMapping
    saved_by: str
    saved_at: datetime


class PreviewRow(Document):
    """A row of an upload: its cells with customers' numbers masked, and what the mapping makes of it."""

    number: int
    cells: tuple[str, ...]
    kind: str
    status: str
    rupiah: int | None
    moment: datetime | None
    trouble: str


class SettlementNote(Document):
    """A note about a file as a whole."""

    text: str
    is_doubt: bool


class SettlementPreview(Document):
    """How a mapping reads a file; ``problem`` says why it cannot be read as a whole."""

    columns: tuple[str, ...]
    rows: tuple[PreviewRow, ...]
    sheets: tuple[str, ...]
    problem: str
    kept: int
    aside: int
    charged_rupiah: int
    sums: dict[str, tuple[int, int]]
    totals: int
    repeated: int
    notes: tuple[SettlementNote, ...]
    troubles: tuple[PreviewRow, ...]


class SettlementUpload(Document):
    """An upload as its mapping reads it. ``rivals`` have the same orders and count for the day."""

    upload_id: str
    account: str
    name: str
    size_bytes: int
    mapping: SettlementMapping
    day: date | None
    preview: SettlementPreview
    rivals: tuple[str, ...]


class ImportedFile(Document):
    """A settlement file that counts from the next close on."""

    account: str
    day: date
    name: str
    digest: str
    rows: int


def upload_document(upload: Upload) -> SettlementUpload:
    """An upload as a document."""
    return SettlementUpload.model_validate(upload)
