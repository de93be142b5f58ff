"""The documents of the books: breaks, top-ups, settlement files. Rupiah are whole numbers; days are WIB."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from sat_hook.application import break_acts, break_evidence, break_rows, settlements
from sat_hook.application.break_acts import BreakAct
from sat_hook.application.break_rows import BreakRow
from sat_hook.application.top_ups import Recorded, TopUpRow
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation import bank_statement, settlement_preview, settlement_rows, top_up_match
from sat_hook.reconciliation.suggestions import SuggestionKind
from sat_hook.store import bulk_decisions
from sat_hook.store.callbacks import CallbackSeen
from sat_hook.web.api.models import Document, Page, at
from sat_hook.web.api.orders import Order


class Break(Document, of=BreakRow):
    """A break. ``amount_rupiah`` is theirs less ours."""


class BreakPage(Page[Break]):
    """A page of breaks. ``size_rupiah`` adds up all amounts without signs."""

    count: int
    is_more: bool
    size_rupiah: int


class AgeBand(Document, of=break_rows.AgeBand):
    """Breaks of an age band."""


class TrendDay(Document):
    """What the closes of a day carried forward."""

    day: date
    bands: tuple[AgeBand, ...]


class Ageing(Document):
    """How old standing breaks are now, and at the last closes."""

    bands: tuple[AgeBand, ...]
    trend: tuple[TrendDay, ...]


class SignedSeen(Document, of=break_evidence.SignedSeen):
    """A status that SAT signed, without goods."""


class CallbackOfBreak(Document, of=CallbackSeen, without=("remote_address", "last_repeat_at")):
    """A verified callback about the order."""


class FileRow(Document, of=break_evidence.FileRow):
    """A row of the settlement file as its mapping reads it."""


class FileEvidence(Document, of=break_evidence.FileEvidence):
    """The settlement file that a break names."""

    rows: tuple[FileRow, ...]


class Suggestion(Document):
    """A suggested explanation, with the facts that speak for it."""

    kind: SuggestionKind
    facts: dict[str, int | str]


class BreakEntry(Document, of=break_evidence.BreakEntry):
    """Something that a person did about a break: ``decided``, ``assigned``, ``comment`` or ``file``."""


class BreakDetails(Document, of=break_evidence.BreakDetails, without=("sent_at", "saldo")):
    """A break with its evidence side by side."""

    row: Break
    order: Order | None
    signed: tuple[SignedSeen, ...]
    callbacks: tuple[CallbackOfBreak, ...]
    file: FileEvidence | None
    suggestions: tuple[Suggestion, ...]
    entries: tuple[BreakEntry, ...]


class UndoneBreak(Document, of=break_acts.UndoneBreak):
    """A break that cannot be decided."""


class BreakGroup(Document):
    """Breaks of a decision by category and present state. ``size_rupiah`` has no signs."""

    category: BreakCategory
    state: BreakState
    breaks: int
    size_rupiah: int


class BreakPreview(Document, of=break_rows.BreakPreview, without=("act",)):
    """What a decision would do. ``digest`` goes into the decision."""

    decision: BreakAct = Field(validation_alias="act")
    by_category: tuple[BreakGroup, ...]
    undone: tuple[UndoneBreak, ...]


class AccountOutcome(Document, of=bulk_decisions.AccountOutcome):
    """What became of a decision in one account. What is neither done nor undone is still to do."""


class BreakResult(Document):
    """A decision and what it has done so far: ``breaks`` of the ``chosen`` were decided.

    ``ended_at`` is null while it is under way. It goes on by itself, also after a restart of the server.
    """

    decision_id: str
    decision: BreakAct
    decided_by: str
    begun_at: datetime
    ended_at: datetime | None
    chosen: int
    breaks: int
    done_rupiah: int
    accounts: tuple[AccountOutcome, ...]
    undone: tuple[UndoneBreak, ...]
    undone_by_code: dict[str, int]


class Assigned(Document):
    """How many breaks were assigned."""

    breaks: int


class Rise(Document, of=top_up_match.Rise):
    """A rise of the deposit that our own orders do not explain."""


class RiseOfAccount(Rise):
    """A rise of the deposit of an account."""

    account: str


class TopUp(Document, of=TopUpRow):
    """A recorded top-up; ``reversed_by`` is null while it counts."""

    rise: Rise | None


class TopUpPage(Page[TopUp]):
    """A page of top-ups, and rises that have none."""

    rises: tuple[RiseOfAccount, ...]


class StatementLine(Document):
    """A movement of the bank account that may be a top-up. ``rupiah`` is negative when money left it."""

    number: int = at("line", "number")
    day: date = at("line", "day")
    rupiah: int = at("line", "rupiah")
    reference: str = at("line", "reference")
    text: str = at("line", "text")
    credited_at: datetime
    rise: Rise | None
    is_known: bool


class LineTrouble(Document, of=bank_statement.LineTrouble):
    """A line that cannot be read."""


class Statement(Document):
    """A bank's statement beside what is recorded."""

    account: str
    kind: str
    offered: tuple[StatementLine, ...]
    troubles: tuple[LineTrouble, ...]


class RecordedTopUps(Document, of=Recorded):
    """What became of several top-ups, by reference; refused ones with the reason."""


class SettlementFile(Document, of=settlements.FileRow):
    """A settlement file; ``why`` it does not count, if it does not."""


class KeptMapping(Document, of=settlements.KeptMapping):
    """A mapping that was kept by its name."""


class PreviewRow(Document, of=settlement_preview.PreviewRow):
    """A row of an upload: its cells with customers' numbers masked, and what the mapping makes of it."""


class SettlementNote(Document, of=settlement_rows.SettlementNote, without=("kind",)):
    """A note about a file as a whole."""


class SettlementPreview(Document, of=settlement_preview.SettlementPreview):
    """How a mapping reads a file; ``problem`` says why it cannot be read as a whole."""

    rows: tuple[PreviewRow, ...]
    sums: dict[str, tuple[int, int]]
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
