"""Events of the log in people's words: a sentence for each type, and a name for each of its members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sat_hook.application.order_details import HistoryEntry
from sat_hook.audit.actions import ActionKind
from sat_hook.domain.event_record import StreamKind
from sat_hook.web.console.code_words import CODES
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.member_words import name_of, value_text
from sat_hook.web.console.order_history import EVENTS as ORDER_EVENTS
from sat_hook.web.console.order_history import Members
from sat_hook.web.console.words import Words

MAXIMUM_LINES = 100
"""Most lines of a list within an event; the rest are counted."""

OTHER_EVENTS: Mapping[str, Words] = {
    "BatchSubmitted": Words(_("Submitted the file %(file_name)s")),
    "OrderFileMended": Words(_("Corrected the uploaded file %(upload_name)s before it was submitted")),
    "BatchStartPlanned": Words(_("Planned the start for %(starts_at)s")),
    "BatchPaysAgain": Words(_("Pays failed orders of an earlier batch again")),
    "RowsTakenIn": Words(_("Read rows %(first_row)s to %(last_row)s: %(orders)s orders")),
    "BatchRefused": Words(_("The whole batch was refused: %(message)s"), "bad"),
    "BatchReceived": Words(_("Read every row: %(orders)s orders, %(set_aside)s rows set aside")),
    "BatchValidated": Words(_("Checked every order: %(valid)s fit, %(rejected)s do not")),
    "BalanceChecked": Words(_("Looked at the deposit: %(saldo_rupiah)s for about %(estimate_rupiah)s")),
    "BatchQuoted": Words(_("Priced %(quoted)s orders at %(total_rupiah)s together")),
    "FundsReserved": Words(_("Reserved %(total_rupiah)s for %(orders)s orders, up to row %(up_to_row)s")),
    "BatchCompleted": Words(_("Complete: %(charged_rupiah)s were charged"), "good"),
    "BatchResultsWritten": Words(_("Wrote the result file with %(rows)s rows")),
    "GoodsDelivered": Words(_("Took the goods of %(orders)s orders: %(reason)s"), "wait"),
    "ChunkStopped": Words(
        _("Stopped sending rows %(first_row)s to %(last_row)s: %(unsent)s orders are not sent"), "bad"
    ),
    "BatchGuarded": Words(_("Checked for duplicates and limits")),
    "BatchReopened": Words(_("Opened again to send %(orders)s orders that were released")),
    "ApprovalRequested": Words(_("Asked %(persons)s people for approval"), "wait"),
    "OrdersLeftOut": Words(_("Left orders out of an approval: %(reason)s"), "wait"),
    "ApprovalSigned": Words(_("Signed the approval; %(persons)s people must sign in all"), "good"),
    "ApprovalRefused": Words(_("An approval by %(approver)s does not count: %(reason)s"), "bad"),
    "BatchApproved": Words(_("Approved %(orders)s orders for %(total_rupiah)s"), "good"),
    "BatchWithdrawn": Words(_("Withdrew the batch: %(reason)s")),
    "ApprovalRejected": Words(_("Rejected %(orders)s orders of %(total_rupiah)s: %(reason)s"), "bad"),
    "BatchRunStarted": Words(_("A run of the batch began")),
    "BatchRunRefused": Words(_("A run was looser than the rules and did nothing"), "bad"),
    "AccountPaused": Words(_("Paused the account: %(reason)s"), "bad"),
    "AccountResumed": Words(_("Resumed the account: %(reason)s"), "good"),
    "ForeignSpendSuspected": Words(
        _("The deposit is lower than our orders explain: %(found_rupiah)s instead of %(expected_rupiah)s"),
        "bad",
    ),
    "TopUpSeen": Words(
        _("The deposit is higher than our orders explain: %(found_rupiah)s instead of %(expected_rupiah)s"),
        "none",
    ),
    "PriceListChanged": Words(_("The price list changed: %(changes)s changes in %(listed)s products")),
    "AccountClientBound": Words(_("The account pays as a client of SAT, by connection %(connection)s")),
    "ClientNumberSearched": Words(
        _("Searched orders by the number %(client_number)s and found %(orders)s"), "wait"
    ),
    "OrdersExported": Words(
        _("Took %(rows)s orders with customers' numbers as a file (%(file_format)s)"), "wait"
    ),
    "AccountRulesAdopted": Words(_("The rules of connection %(connection)s apply to the account")),
    "AccountRulesProposed": Words(_("Proposed new rules (number %(proposal)s): %(reason)s"), "wait"),
    "AccountRulesConfirmed": Words(_("Confirmed proposal %(proposal)s: these rules are in force"), "good"),
    "AccountRulesDeclined": Words(_("Declined proposal %(proposal)s: %(reason)s")),
    "AccountRunStarted": Words(_("Started a run for the account with parameters")),
    "AccountRunRefused": Words(_("A run of the account was refused and did nothing"), "bad"),
    "DepositObserved": Words(_("Looked at the deposit for the books: %(saldo_rupiah)s")),
    "TopUpRecorded": Words(_("Recorded a top-up of %(amount_rupiah)s, reference %(reference)s")),
    "TopUpReversed": Words(_("Took back the top-up with reference %(reference)s: %(reason)s"), "wait"),
    "SettlementImported": Words(_("Took in the settlement file %(name)s with %(rows)s rows")),
    "SettlementMappingSaved": Words(_("Kept the way settlement files are read, as %(name)s")),
    "SettlementSetAside": Words(_("Set the settlement file %(name)s aside: %(cause)s"), "wait"),
    "SettlementCleared": Words(_("The settlement file %(name)s needs no decision any more")),
    "SettlementChosen": Words(_("Chose the settlement file %(name)s: %(reason)s")),
    "DayClosed": Words(_("Closed %(day)s: %(orders)s orders, %(open_breaks)s open breaks")),
    "BreaksRecorded": Words(_("Recorded breaks of %(day)s")),
    "BreakDecided": Words(_("Decided a break as %(state)s: %(reason)s")),
    "BreakAssigned": Words(_("Gave a break to %(assignee)s to work on")),
    "BreakCommented": Words(_("Commented on a break")),
    "BreakFileAttached": Words(_("Attached the file %(name)s to a break")),
    "BreakFileTaken": Words(_("Downloaded the file %(name)s of a break"), "wait"),
    "DayPrepared": Words(_("Signed %(day)s as its preparer"), "good"),
    "DayCertified": Words(_("Certified %(day)s: it is frozen"), "good"),
    "ExportRequested": Words(
        _("Asked for an evidence pack of %(recorded_from)s to %(recorded_before)s: %(reason)s"), "wait"
    ),
    "ExportWritten": Words(_("Wrote the evidence pack: %(events)s events")),
    "ExportHandedOut": Words(_("Downloaded the evidence pack"), "wait"),
    "ConsoleSignedIn": Words(_("Signed in to the console")),
    "RightsSeen": Words(_("Other holders of rights than before were read"), "wait"),
    "UserRightsSeen": Words(_("%(user)s came with other rights than before"), "wait"),
    "WebhookSet": Words(_("Webhook %(name)s is told at %(url)s: %(reason)s"), "wait"),
    "WebhookRemoved": Words(_("Removed the webhook %(name)s: %(reason)s"), "wait"),
    "WebhookMessagesResent": Words(_("Sent messages of webhook %(name)s once more: %(reason)s")),
    "AlertsAcknowledged": Words(_("Acknowledged alerts: %(reason)s")),
    "LogVerified": Words(_("Verified the log up to position %(closed_position)s")),
    "EventsArchived": Words(_("Archived %(events)s events of %(partition)s in a file")),
    "EventsRestored": Words(_("Brought the archived events of %(partition)s back")),
}
"""Every type of event of a batch, an account, its books, an export, a user and the log itself."""

EVENTS: Mapping[str, Words] = {**ORDER_EVENTS, **OTHER_EVENTS}

STREAMS: Mapping[StreamKind, str] = {
    StreamKind.ORDER: _("orders"),
    StreamKind.BATCH: _("batches"),
    StreamKind.ACCOUNT: _("accounts and books"),
    StreamKind.EXPORT: _("evidence packs"),
    StreamKind.USER: _("users of the console"),
    StreamKind.LOG: _("the log itself"),
    StreamKind.RIGHTS: _("rights"),
    StreamKind.WEBHOOK: _("webhooks"),
}

TABLES: Mapping[ActionKind, str] = {
    ActionKind.APPROVALS: _("approvals"),
    ActionKind.OVERRIDES: _("decisions and pauses"),
    ActionKind.RECONCILIATIONS: _("books and sign-offs"),
    ActionKind.DELIVERIES: _("deliveries of goods"),
    ActionKind.EXPORTS: _("exports of evidence"),
    ActionKind.ACTIONS: _("everything else"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an event, as a row of a table.

    :param value: its text; for a list of things the number of them.
    :param heads: the columns of that list; empty for a single value.
    :param beyond: how many more lines the list has.
    """

    name: str
    value: str
    heads: tuple[str, ...] = ()
    lines: tuple[tuple[str, ...], ...] = ()
    beyond: int = 0


def sentence_of(entry: HistoryEntry, wording: Wording) -> Words:
    """What an event says, in the person's language."""
    said = EVENTS.get(entry.kind)
    if said is None:
        return Words(entry.kind)
    return Words(wording.text(said.text) % Members(entry, wording), said.tone)


def type_text(name: str, wording: Wording) -> str:
    """What events of a type say, with dots for what differs from one to the next."""
    said = EVENTS.get(name)
    return name if said is None else wording.text(said.text) % _Dots()


def members_of(entry: HistoryEntry, wording: Wording) -> Iterator[Member]:
    """The members of an event; those of a part are named after it."""
    for name, value in entry.parameters.items():
        yield from _members(entry.kind, name, name_of(name, wording), value, wording)


def _members(kind: str, name: str, title: str, value: Any, wording: Wording) -> Iterator[Member]:
    if isinstance(value, Mapping) and value:
        for inner, part in value.items():
            # The names in a mapping from other words to codes are those words.
            member = name if name in CODES else inner
            yield from _members(kind, member, f"{title} · {name_of(inner, wording)}", part, wording)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        heads = tuple(value[0])
        yield Member(
            title,
            wording.number(len(value)),
            tuple(name_of(head, wording) for head in heads),
            tuple(
                tuple(value_text(head, line.get(head), wording, kind) for head in heads)
                for line in value[:MAXIMUM_LINES]
            ),
            max(0, len(value) - MAXIMUM_LINES),
        )
    else:
        yield Member(title, value_text(name, value, wording, kind))


class _Dots:
    def __getitem__(self, name: str) -> str:
        return "…"
