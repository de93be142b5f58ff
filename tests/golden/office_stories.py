"""Stories of streams beside the orders: an account's books, its price list, an evidence pack."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sat_hook.audit.exports import hand_out, record_written, request_export
from sat_hook.catalogue.snapshot import take_snapshot
from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.aggregates import RIGHTS, USERS, VERIFICATIONS, WEBHOOKS
from sat_hook.domain.account import ClientNumberSearched, ExportedContent, OrdersExported
from sat_hook.domain.books_commands import AssignBreaks, ClearSettlement, DecideBreaks, ReplaceSettlements
from sat_hook.domain.books_events import (
    BreakCommented,
    BreakFileAttached,
    BreakFileTaken,
    SetAsideCause,
    SettlementMapping,
    SettlementMappingSaved,
    SettlementSetAside,
)
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.console_users import AcknowledgeAlerts, SeeUserRights, SignIn
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.export import ExportWritten
from sat_hook.domain.guards import NO_RULES, AccountRules
from sat_hook.domain.identity import digest_of, log_id, rights_id, user_id_of, webhooks_id
from sat_hook.domain.log_archives import EventsArchived, EventsRestored
from sat_hook.domain.rights_seen import RightsSource, SeeRights, holders_in
from sat_hook.domain.verifications import LogVerified
from sat_hook.domain.webhooks import WebhookMessagesResent, WebhookRemoved, WebhookSet, WebhookTopic
from sat_hook.pipeline.account_rules import (
    AskedRun,
    adopt_rules,
    record_account_run,
    refuse_account_run,
    refuse_looser_run,
    start_batch_run,
)
from sat_hook.pipeline.errors import RunRefusedError
from sat_hook.pipeline.rule_changes import confirm_rules, decline_rules, propose_rules
from sat_hook.reconciliation.book_commands import certify, choose_file, prepare, reverse_top_up, settle_break
from sat_hook.store.prices import PriceHistory
from tests.golden.stories import story
from tests.integration.reconciliation.planting import CLOSES, DAY, MAPPING, PRICE, SECOND, Planted
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line

PREPARER = Provenance("user:fina", "plugin:sign-off")
APPROVER = Provenance("user:bob", "plugin:sign-off")
ASKER = Provenance("user:alice", "plugin:export")
CLIENT = "c" * 64


@dataclass
class Office(Planted):
    """An account whose settlement files are kept in the story's own spool."""

    kept: object = None

    @property
    def spool(self):  # type: ignore[no-untyped-def,override]
        return self.kept


@story("A day of the books: closed with a break, explained, prepared and certified; evidence after it")
def day_certified(line: Line) -> None:
    """The next day posts late evidence as an adjustment of the certified day."""
    day = Office(line.store, Path(), "books", kept=line.spool)
    day.ordinary_day()
    day.top_up(1_000_000)
    day.net_rupiah += 1_000_000
    day.observe(CLOSES + SECOND)
    day.settle(*day.usual_rows("good-1"), day.settlement_row("good-1", PRICE + 500))
    (found,) = day.close().close.breaks
    reason = "the provider corrects it with its next file"
    settle_break(day.keeper, "books", found.break_id, BreakState.EXPLAINED, reason, PREPARER)
    day.close()
    prepare(day.keeper, "books", DAY.day, "seen", PREPARER)
    certify(day.keeper, "books", DAY.day, "agreed", APPROVER)


@story("A break that people work on: assigned, commented, with a file, then decided together with another")
def break_worked_on(line: Line) -> None:
    """The day is closed once more: what is explained is carried, and what is written off is not."""
    day = Office(line.store, Path(), "books", kept=line.spool)
    day.ordinary_day()
    day.observe(CLOSES + SECOND)
    day.settle(*day.usual_rows("good-1", "good-2"), day.settlement_row("good-2", PRICE + 500))
    first, second = (item.break_id for item in day.close().close.breaks)
    by = Provenance("user:fina", "plugin:assign")
    day.keeper.post("books", AssignBreaks((first, second), "rudi"), by)
    note = BreakCommented(account="books", break_id=first, note="asked by mail, they look into 081234567890")
    day.keeper.post("books", Record(note), by)
    content = b"a mail"
    attached = BreakFileAttached(
        account="books",
        break_id=first,
        name="mail.eml",
        uri=line.spool.write(f"breaks/{first}/{digest_of(content)}", content),
        digest=digest_of(content),
        size_bytes=len(content),
    )
    day.keeper.post("books", Record(attached), by)
    day.keeper.post("books", DecideBreaks((first, second), BreakState.EXPLAINED, "they correct it"), PREPARER)
    day.keeper.post("books", DecideBreaks((second,), BreakState.WRITTEN_OFF, "too small"), PREPARER)
    day.keeper.post("books", AssignBreaks((first,), ""), by)
    day.close()


@story("A file of a break is downloaded, twice; the day stays as it was closed")
def break_file_taken(line: Line) -> None:
    """Each download is a fact about the person, and changes no close."""
    day = Office(line.store, Path(), "books", kept=line.spool)
    day.ordinary_day()
    day.observe(CLOSES + SECOND)
    day.settle(*day.usual_rows("good-1", "good-2"), day.settlement_row("good-2", PRICE + 500))
    of_break = {"account": "books", "break_id": day.close().close.breaks[0].break_id, "name": "mail.eml"}
    content = b"a mail"
    uri = line.spool.write("breaks/mail", content)
    of_file = {**of_break, "digest": digest_of(content)}
    attached = BreakFileAttached(**of_file, uri=uri, size_bytes=len(content))
    day.keeper.post("books", Record(attached), Provenance("user:fina", "plugin:attach"))
    for user in ("audi", "audi"):
        taken = BreakFileTaken(**of_file)
        day.keeper.post("books", Record(taken), Provenance(f"user:{user}", "plugin:take-file"))
    day.close()


@story("A wrong top-up, taken back by a second entry and recorded as it should be; the day is closed between")
def top_up_reversed(line: Line) -> None:
    """The day is closed once more: it counts the last entry of the reference."""
    day = Office(line.store, Path(), "books", kept=line.spool)
    day.ordinary_day()
    day.top_up(10_000_000)
    day.net_rupiah += 1_000_000
    day.observe(CLOSES + SECOND)
    day.settle(*day.usual_rows())
    day.close()
    reverse_top_up(day.keeper, "books", "bca-1", "a zero too many", PREPARER)
    day.top_up(1_000_000)
    day.close()


@story("Mappings of settlement files that are kept by name; the last one of a name counts")
def mappings_kept(line: Line) -> None:
    """A file that a person imports is read by one of them."""
    day = Office(line.store, Path(), "books", kept=line.spool)
    later = SettlementMapping(header_row=2)
    for name, mapping in (("provider", MAPPING), ("old", MAPPING), ("provider", later)):
        saved = SettlementMappingSaved(account="books", name=name, mapping=mapping)
        day.keeper.post("books", Record(saved), Provenance("user:fina", "plugin:save-mapping"))


@story("A settlement file with a refund and a total, read by a mapping that names more than its columns")
def settlement_imported(line: Line) -> None:
    """The file is imported but not closed: its match is another story."""
    day = Office(line.store, Path(), "books", kept=line.spool)
    refund = day.settlement_row("good-1", -PRICE, "Refund")
    day.settle(day.settlement_row("good-1"), refund, day.settlement_row("good-2"), f"TOTAL,{PRICE},,,")


@story("Settlement files that do not count: one that cannot be read and is removed, a second download")
def files_set_aside(line: Line) -> None:
    """A person chooses the second download; the day is closed with it."""
    day = Office(line.store, Path(), "books", kept=line.spool)
    day.ordinary_day()
    day.observe(CLOSES + SECOND)
    day.settle(*day.usual_rows("good-1"), name="settlement-2026-11-02.csv")
    day.set_aside("settlement-2026-11-02.xlsx", "found BadZipFile when reading it; expected a workbook")
    day.close()
    clear = ClearSettlement("settlement-2026-11-02.xlsx", "the file is gone from its folder")
    day.keeper.post("books", clear, BY_TEST)
    (counting,) = day.keeper.books("books").settlements
    second = counting.event.model_copy(update={"name": "settlement-2026-11-02 (1).csv", "digest": "c" * 64})
    asked = SettlementSetAside(
        account="books",
        day=DAY.day,
        name=second.name,
        digest=second.digest,
        cause=SetAsideCause.UNDECIDED,
        reason="settlement-2026-11-02.csv counts until a person chooses",
        rivals=(counting.event.digest,),
    )
    day.keeper.post("books", Record(asked), BY_TEST)
    choose_file(day.keeper, "books", DAY.day, second.name, "the first one was not complete", PREPARER)
    day.keeper.post("books", ReplaceSettlements(second, asked.rivals), BY_TEST)


@story("A price list that changes")
def price_list(line: Line) -> None:
    """The first snapshot finds everything new."""
    with BlockingSATClient(line.settings, SystemClock()) as sat:
        take_snapshot(sat, PriceHistory(line.store.database), SystemClock(), ACCOUNT, BY_TEST)


@story("An evidence pack: asked for, written, handed out")
def export_handed_out(line: Line) -> None:
    """Personal data needs a reason."""
    clock = SystemClock()
    now = clock.now()
    export = request_export(
        line.store,
        clock,
        recorded_from=now - timedelta(days=1),
        recorded_before=now,
        with_personal_data=True,
        reason="the yearly audit",
        provenance=ASKER,
    )
    written = ExportWritten(
        uri=f"file:///var/lib/sat/spool/packs/{export.export_id}.zip",
        digest=digest_of(b"a pack"),
        size_bytes=6,
        events=1,
        first_checkpoint=None,
        last_checkpoint=None,
    )
    record_written(line.store, clock, export.export_id, written, BY_TEST)
    hand_out(line.store, clock, export.export_id, ASKER)


@story("A sign-in to the console, and verifications of the log")
def audited(line: Line) -> None:
    """The same login signs in once; what a verification found is recorded as it came out."""
    by = Provenance("user:alice", "plugin:sign-in")
    for _ in range(2):
        line.handler.apply_to(USERS, user_id_of("alice"), SignIn("alice", "0123456789abcdef"), by)
    seen = AcknowledgeAlerts(("price_jump/1/25k-xl",), "the price was checked")
    line.handler.apply_to(USERS, user_id_of("alice"), seen, by)
    for findings in ({}, {"checkpoint_events": 2}):
        verified = LogVerified(
            is_everything=True,
            began_at=line.handler.clock.now(),
            closed_position=1,
            events=1,
            streams=1,
            first_checkpoint=1,
            checkpoints=0,
            covered_position=0,
            uncovered_events=1,
            published_checkpoint=None,
            key_ids=("fedcba9876543210",),
            statuses_checked=None,
            findings=findings,
        )
        line.handler.apply_to(VERIFICATIONS, log_id(), Record(verified), BY_TEST)


@story("A month of the log that was archived and brought back")
def archived(line: Line) -> None:
    """Both are events of the log itself."""
    month = EventsArchived(
        partition="events_0003",
        first_position=30_000_000_001,
        last_position=30_000_000_014,
        events=14,
        moved_events=11,
        recorded_to=line.handler.clock.now(),
        uri=f"file:///var/lib/sat/archive/archive/{digest_of(b'a month')}.parquet",
        digest=digest_of(b"a month"),
        size_bytes=7,
        checkpoint=4,
    )
    for event in (month, EventsRestored(partition=month.partition, digest=month.digest)):
        line.handler.apply_to(VERIFICATIONS, log_id(), Record(event), BY_TEST)


@story("Rights that were seen: a file, a change of it, a user with other roles, a file that cannot be used")
def rights_seen(line: Line) -> None:
    """What was read again is no event; the difference is told by right and holder."""
    for users, roles in ((("carl",), ("checkers",)), (("carl",), ("checkers",)), (("dewi",), ("checkers",))):
        holders = holders_in({"approve": (users, roles)})
        line.handler.apply_to(RIGHTS, rights_id(), SeeRights(RightsSource.FILE, holders), BY_TEST)
    for seen_roles, rights in ((("user",), ("view", "submit")), (("op",), ("view", "approve"))):
        command = SeeUserRights("carl", seen_roles, rights)
        line.handler.apply_to(USERS, user_id_of("carl"), command, BY_TEST)
    unusable = SeeRights(RightsSource.UNUSABLE, (), "rights.json: found right 'aprove'")
    line.handler.apply_to(RIGHTS, rights_id(), unusable, BY_TEST)


@story("A webhook: added, set again as it is, with another filter, sent messages once more, removed")
def webhooks_told(line: Line) -> None:
    """What changes nothing is no event."""
    by = Provenance("user:admin", "plugin:webhooks")
    ended, held = WebhookTopic.ORDER_ENDED, WebhookTopic.ORDER_HELD
    for topics, accounts in (((ended,), ()), ((ended,), ()), ((ended, held), (ACCOUNT,))):
        kept = WebhookSet(
            name="erp",
            url="https://erp.example.com/sat",
            connection="erp_webhook",
            topics=topics,
            accounts=accounts,
            reason="the ERP books what is paid",
        )
        line.handler.apply_to(WEBHOOKS, webhooks_id(), Record(kept), by)
    resent = WebhookMessagesResent(name="erp", messages=("M" + "A" * 25,), reason="it was down for two days")
    removed = WebhookRemoved(name="erp", reason="the ERP is replaced")
    for event in (resent, removed, removed):
        line.handler.apply_to(WEBHOOKS, webhooks_id(), Record(event), by)


@story("The rules of an account: adopted from its connection, proposed, declined, confirmed by another; runs")
def account_rules(line: Line) -> None:
    """A run that is looser than the rules is refused; one that keeps to them is recorded with its rules."""
    of_connection = AccountRules(NO_RULES.guards, approval_over_rupiah=5_000_000)
    adopt_rules(line.handler, ACCOUNT, "sat_default", of_connection, BY_TEST)
    rosa, carl = Provenance("user:rosa", "plugin:propose-rules"), Provenance("user:carl", "plugin:rules")
    for answer in (decline_rules, confirm_rules):
        changes = {"approval_over_rupiah": 2_000_000, "day_limit_orders": 500}
        reason = "as the contract says"
        proposed = propose_rules(line.handler, ACCOUNT, of_connection, changes, reason, rosa).rules.proposal
        assert proposed is not None
        answer(line.handler, ACCOUNT, proposed.number, "looked at with the bank", carl)
    submitted = line.submit(b"order_id,product_code,client_number\nR-1,25k-xl,081712345678\n")
    for days in (0, 14):
        asked = AskedRun(
            f"bulk_disbursement/run-{days}",
            "sat_default",
            CLIENT,
            of_connection,
            {"duplicate_days": days},
            {"duplicate_days": str(days)},
        )
        with suppress(RunRefusedError):
            start_batch_run(line.handler, submitted.batch_id, asked, ASKER)
    parameters = {"dedup_horizon_hours": "4"}
    record_account_run(line.handler, ACCOUNT, "order_recovery/run-1", parameters, ASKER)
    looser = {"dedup_horizon_hours": "found 48; expected at most 6"}
    parameters = {"dedup_horizon_hours": "48"}
    refuse_account_run(line.handler, ACCOUNT, "order_recovery/run-2", parameters, looser, ASKER)


@story("The tiers of an account's approvals: adopted from its connection, proposed and confirmed; a run")
def approval_tiers(line: Line) -> None:
    """Two people above one amount, three above another, the third with a right of its own."""
    of_connection = AccountRules(NO_RULES.guards, 10_000_000, second_approval_over_rupiah=200_000_000)
    adopt_rules(line.handler, ACCOUNT, "sat_default", of_connection, BY_TEST)
    rosa, carl = Provenance("user:rosa", "plugin:propose-rules"), Provenance("user:carl", "plugin:rules")
    changes = {
        "second_approval_over_rupiah": 100_000_000,
        "third_approval_over_rupiah": 1_000_000_000,
        "third_approval_right": "finance",
    }
    reason = "as the board decided"
    proposed = propose_rules(line.handler, ACCOUNT, of_connection, changes, reason, rosa).rules.proposal
    assert proposed is not None
    confirm_rules(line.handler, ACCOUNT, proposed.number, "compared with the minutes", carl)
    submitted = line.submit(b"order_id,product_code,client_number\nR-1,25k-xl,081712345678\n")
    asked = AskedRun("bulk_disbursement/run-1", "sat_default", CLIENT, of_connection, {}, {})
    start_batch_run(line.handler, submitted.batch_id, asked, ASKER)


@story("The clients of SAT's that an account pays as: bound with its runs; another account's run is refused")
def account_clients(line: Line) -> None:
    """A second client id of the same account is bound like the first; no other name pays as one of them."""
    rows = b"order_id,product_code,client_number\nR-1,25k-xl,081712345678\n"
    for account, client in ((ACCOUNT, "c"), (ACCOUNT, "d"), ("demo-2", "c")):
        submitted = line.submit(rows, account=account)
        asked = AskedRun(f"bulk_disbursement/{client}", "sat_default", client * 64, NO_RULES, {}, {})
        with suppress(RunRefusedError):
            start_batch_run(line.handler, submitted.batch_id, asked, ASKER)
        if account != ACCOUNT:
            with suppress(RunRefusedError):
                refuse_looser_run(line.handler, account, asked, ASKER)


@story("A person searches an account's orders by a client's number")
def number_searched(line: Line) -> None:
    """Who searched, with the number masked, and how many orders there were."""
    rosa = Provenance("user:rosa", "plugin:search")
    searched = ClientNumberSearched(account=ACCOUNT, client_number="0817******78", orders=3)
    line.handler.apply_to_account(ACCOUNT, Record(searched), rosa)


@story("A person takes orders of an account as files")
def orders_exported(line: Line) -> None:
    """Who took which orders: those of a filter, and the results of a batch."""
    rosa = Provenance("user:rosa", "plugin:export")
    chosen = OrdersExported(
        account=ACCOUNT,
        content=ExportedContent.ORDERS,
        batch_id=None,
        criteria={"states": "held escalated", "least_rupiah": "100000"},
        file_format="xlsx",
        rows=12,
    )
    results = OrdersExported(
        account=ACCOUNT,
        content=ExportedContent.RESULTS,
        batch_id="B" + "A" * 25,
        criteria={"position": "41"},
        file_format="csv",
        rows=26,
    )
    for exported in (chosen, results):
        line.handler.apply_to_account(ACCOUNT, Record(exported), rosa)
