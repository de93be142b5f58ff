"""The log as auditors read it: by filter, page by page, one event with its proof, and who did what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from sat_hook.application import audit_log
from sat_hook.application.audit_log import AuditLog, LogEntry, LogQuery
from sat_hook.application.errors import (
    CursorError,
    EventNotFoundError,
    ListingRefusedError,
    RightMissingError,
)
from sat_hook.application.rights import Person, Right
from sat_hook.application.rights_in_force import RightsInForce
from sat_hook.application.sessions import Remembered, RightsWatch
from sat_hook.audit.actions import ActionKind
from sat_hook.domain.console_users import UserRightsSeen
from sat_hook.domain.event_record import Provenance, StreamKind
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.rights_seen import RightsSeen, RightsSource
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_batch
from sat_hook.pipeline.overrides import pause_account
from sat_hook.store import log_pages
from sat_hook.store.log_pages import LogPages
from stack.databases import ApplicationDatabase
from tests.integration.audit.keeping import Notary
from tests.integration.listings.conftest import HELD, PRICES, Office, office_in
from tests.orders import ACCOUNT

AUDITOR = Person("audi", frozenset({Right.AUDIT}))
OTHERS = Person("vera", frozenset(Right) - {Right.AUDIT})
BOB = Provenance("user:bob", "plugin:release")


@pytest.fixture(scope="module")
def office(module_database: ApplicationDatabase) -> Iterator[Office]:
    """Two batches by maria, all orders of the second held and released by bob; two accounts paused."""
    with office_in(module_database) as office:
        office.batch("first")
        second = office.batch("second")
        for row in range(2, len(PRICES) + 2):
            office.happen(office.order_of("second", row), HELD)
        office.clock.advance(60)
        decide_held_batch(office.handler, second, HeldDecision.RELEASE, "checked 081211311111", BOB)
        pause_account(office.handler, ACCOUNT, "a test", Provenance("user:Bob", "plugin:pause"))
        pause_account(office.handler, "another", "a test", Provenance("service:cron", "task"))
        yield office


@pytest.fixture
def log(office: Office) -> AuditLog:
    """Its log."""
    return AuditLog(office.lists.installation)


def all_of(log: AuditLog, query: LogQuery, limit: int = 7) -> list[LogEntry]:
    """Every event of a query, page by page."""
    found: list[LogEntry] = []
    cursor = None
    while True:
        page = log.events(query, AUDITOR, cursor=cursor, limit=limit)
        found += page.items
        if page.next is None:
            return found
        cursor = page.next


def test_pages_have_every_event_once_the_newest_first(log: AuditLog) -> None:
    """Whatever the size of a page."""
    entries = all_of(log, LogQuery())
    positions = [entry.entry.position for entry in entries]
    assert positions == sorted(set(positions), reverse=True)
    assert positions == [entry.entry.position for entry in all_of(log, LogQuery(), 200)]
    assert {entry.stream.kind for entry in entries} == {
        StreamKind.ORDER,
        StreamKind.BATCH,
        StreamKind.ACCOUNT,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LogQuery(kind=StreamKind.BATCH), lambda entry: entry.stream.kind is StreamKind.BATCH),
        (LogQuery(types=("OrderHeld",)), lambda entry: entry.entry.kind == "OrderHeld"),
        (LogQuery(by_people=True), lambda entry: entry.user is not None),
        (LogQuery(user="BOB"), lambda entry: entry.user in ("bob", "Bob")),
        (
            LogQuery(user="bob", kind=StreamKind.ORDER),
            lambda entry: entry.user == "bob" and entry.stream.kind is StreamKind.ORDER,
        ),
        (
            LogQuery(by_people=True, types=("AccountPaused",)),
            lambda entry: entry.user is not None and entry.entry.kind == "AccountPaused",
        ),
        (LogQuery(account="another"), lambda entry: entry.subject.account == "another"),
        (LogQuery(account="sat_default"), lambda entry: entry.subject.account == ACCOUNT),
        (
            LogQuery(account="other", kind=StreamKind.ACCOUNT),
            lambda entry: entry.subject.account == "another" and entry.stream.kind is StreamKind.ACCOUNT,
        ),
        (
            LogQuery(stream=f"account/{account_id_of('another')}", by_people=True),
            lambda _: False,
        ),
        (LogQuery(kind=StreamKind.EXPORT, types=("OrderHeld",)), lambda _: False),
        (LogQuery(user="eve"), lambda _: False),
    ],
)
def test_a_filter_finds_what_it_names(log: AuditLog, query: LogQuery, expected: object) -> None:
    """Exactly those events of the whole log, in its order, on pages of any size."""
    assert callable(expected)
    wanted = [entry.entry.position for entry in all_of(log, LogQuery(), 200) if expected(entry)]
    for limit in (3, 200):
        assert [entry.entry.position for entry in all_of(log, query, limit)] == wanted


def test_a_stream_is_found_by_the_id_of_its_subject(log: AuditLog, office: Office) -> None:
    """An order's id, a batch's id, or the stream's name; another text is refused."""
    request_id = office.order_of("second", 2)
    named = all_of(log, LogQuery(stream=f"order/{request_id}"))
    assert [entry.entry.version for entry in named] == list(range(len(named), 0, -1))
    assert all_of(log, LogQuery(stream=request_id)) == named
    assert named[0].subject.order_id == "second-2"
    assert named[0].subject.row_number is not None
    with pytest.raises(ListingRefusedError, match="expected order/"):
        log.events(LogQuery(stream="nothing"), AUDITOR)


def test_days_are_those_of_recording(log: AuditLog, office: Office) -> None:
    """The first and the last moment belong to the slice or not, as it says."""
    entries = all_of(log, LogQuery(), 200)
    middle = entries[len(entries) // 2].recorded_at
    newer = all_of(log, LogQuery(since=middle))
    older = all_of(log, LogQuery(before=middle))
    assert [*newer, *older] == entries
    assert newer[-1].recorded_at >= middle > older[0].recorded_at
    assert all_of(log, LogQuery(since=entries[0].recorded_at + timedelta(days=1))) == []
    assert all_of(log, LogQuery(before=entries[-1].recorded_at - timedelta(days=1))) == []


def test_the_first_position_of_a_moment_is_found_by_halving(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every moment of the log, without slack; also with gaps in the positions."""
    monkeypatch.setattr(log_pages, "CLOCK_SLACK", timedelta(0))
    pages = LogPages(office.store.database)
    events = office.store.read_log(0, 2**62, 10_000)
    for recorded in events:
        first = next(e.position for e in events if e.recorded_at >= recorded.recorded_at)
        assert pages._position_before(recorded.recorded_at) < first
        between = [e for e in events if pages._position_before(recorded.recorded_at) < e.position < first]
        assert between == []


def test_a_page_by_account_looks_at_a_limited_number_of_events(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be short, or empty, and then it has a next one."""
    monkeypatch.setattr(audit_log, "MAXIMUM_LOOKED_AT", 10)
    monkeypatch.setattr(audit_log, "READ_AT_ONCE", 5)
    query = LogQuery(account=ACCOUNT)
    first = log.events(query, AUDITOR)
    assert len(first.items) <= 10
    assert first.next is not None
    wanted = [e.entry.position for e in all_of(log, LogQuery(), 200) if e.subject.account == ACCOUNT]
    assert [entry.entry.position for entry in all_of(log, query)] == wanted


def test_customers_data_is_masked(log: AuditLog) -> None:
    """An auditor reads the log without seeing customers' numbers, also in typed reasons."""
    entries = all_of(log, LogQuery(), 200)
    received = next(entry for entry in entries if entry.entry.kind == "OrderReceived")
    released = next(entry for entry in entries if entry.entry.kind == "OrderReleased")
    assert received.entry.parameters["client_number"] == "***"
    assert released.entry.parameters["reason"] == "checked ***"


def test_what_was_done_at_once_is_one_act(log: AuditLog, office: Office) -> None:
    """The release of every held order of a batch is one line; pages have every act once."""
    acts = log.acts(LogQuery(), AUDITOR, limit=200).items
    assert [(act.event.user, act.event.entry.kind, act.times) for act in acts[:2]] == [
        ("Bob", "AccountPaused", 1),
        ("bob", "OrderReleased", len(PRICES)),
    ]
    assert sum(act.times for act in acts) == len(all_of(log, LogQuery(by_people=True)))
    by_one, cursor = [], None
    while True:
        page = log.acts(LogQuery(), AUDITOR, cursor=cursor, limit=1)
        by_one += page.items
        if page.next is None:
            break
        cursor = page.next
    assert tuple(by_one) == acts
    overrides = log.acts(LogQuery(user="bob"), AUDITOR, table=ActionKind.OVERRIDES).items
    assert {act.event.entry.kind for act in overrides} == {"AccountPaused", "OrderReleased"}
    assert log.acts(LogQuery(user="bob"), AUDITOR, table=ActionKind.APPROVALS).items == ()


def test_people_and_accounts_are_those_of_the_log(log: AuditLog) -> None:
    """Each spelling that acted; services are no people."""
    assert set(log.people(AUDITOR)) == {"maria", "bob", "Bob"}
    assert set(log.accounts(AUDITOR)) == {ACCOUNT, "another"}


def test_an_event_comes_with_its_proof(
    log: AuditLog, module_database: ApplicationDatabase, tmp_path: Path
) -> None:
    """Without a checkpoint, then under one; an event changed by force shows both kinds of damage."""
    position = all_of(log, LogQuery(types=("AccountPaused",)))[0].entry.position
    details = log.event(position, AUDITOR)
    assert (details.event.entry.position, details.is_intact, details.proof) == (position, True, None)
    with pytest.raises(EventNotFoundError, match="found none at position"):
        log.event(2**40, AUDITOR)
    notary = Notary(module_database, tmp_path)
    notary.make()
    proof = log.event(position, AUDITOR).proof
    assert proof is not None
    assert (proof.holds, proof.key_id) == (True, notary.signer.key_id)
    assert proof.text.first_position <= position <= proof.text.last_position
    connection = psycopg2.connect(module_database.owner_dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("ALTER TABLE sat.events DISABLE TRIGGER USER")
            cursor.execute(
                "UPDATE sat.events SET data = replace(data, 'a test', 'another'), digest = repeat('0', 64)"
                " WHERE position = %s",
                (position,),
            )
    finally:
        connection.close()
    damaged = log.event(position, AUDITOR)
    assert damaged.is_intact is False
    assert damaged.proof is not None
    assert damaged.proof.holds is False


def test_everything_needs_the_right_to_audit(log: AuditLog, office: Office) -> None:
    """Whatever else a person may do."""
    for act in (
        lambda: log.events(LogQuery(), OTHERS),
        lambda: log.event(1, OTHERS),
        lambda: log.acts(LogQuery(), OTHERS),
        lambda: log.people(OTHERS),
        lambda: log.accounts(OTHERS),
        lambda: RightsInForce(office.lists.installation).shown(OTHERS),
    ):
        with pytest.raises(RightMissingError, match="audit"):
            act()


def test_a_cursor_is_of_its_own_list(log: AuditLog) -> None:
    """Not of another filter, nor of the acts."""
    cursor = log.events(LogQuery(), AUDITOR, limit=1).next
    for other in (
        lambda: log.events(LogQuery(by_people=True), AUDITOR, cursor=cursor),
        lambda: log.acts(LogQuery(), AUDITOR, cursor=cursor),
    ):
        with pytest.raises(CursorError):
            other()


def test_rights_are_shown_with_their_holders(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defaults without a file; with one, its holders, and the defaults for what it leaves out."""
    rights = RightsInForce(office.lists.installation)
    shown = rights.shown(AUDITOR)
    assert shown.source is RightsSource.DEFAULTS
    assert [row.right for row in shown.rights] == list(Right)
    assert all(row.is_default for row in shown.rights)
    file = tmp_path / "rights.json"
    file.write_text('{"audit": {"users": ["audi"], "roles": ["Auditor"]}}')
    file.chmod(0o600)
    monkeypatch.setenv("SAT_RIGHTS_FILE", str(file))
    shown = rights.shown(AUDITOR)
    rows = {row.right: row for row in shown.rights}
    assert shown.source is RightsSource.FILE
    audit, view = rows[Right.AUDIT], rows[Right.VIEW]
    assert (audit.users, audit.roles, audit.is_default) == (("audi",), ("Auditor",), False)
    assert view.is_default
    monkeypatch.setenv("SAT_RIGHTS_FROM_AUTH_MANAGER", "true")
    assert rights.shown(AUDITOR).source is RightsSource.AUTH_MANAGER


def test_a_change_of_rights_is_an_event_at_the_first_request_after_it(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change once, whichever process sees it first: what was given and taken, or that the file fails."""
    installation = office.lists.installation
    rights, file = RightsInForce(installation), tmp_path / "rights.json"

    def request() -> RightsWatch:
        """What each request does; every one in a process of its own."""
        watch = RightsWatch(installation, Remembered())
        watch.notice_holders()
        watch.notice_holders()
        return watch

    request()
    monkeypatch.setenv("SAT_RIGHTS_FILE", str(file))
    for text in ('{"audit": {"users": ["audi"]}}', '{"audit": {"users": ["dewi"]}}', '{"audti": {}}'):
        file.write_text(text)
        file.chmod(0o600)
        request()
        request()
    unusable, second, first, defaults = (change.event for change in rights.changes(AUDITOR).items[:4])
    assert isinstance(defaults, RightsSeen)
    assert isinstance(first, RightsSeen)
    assert isinstance(second, RightsSeen)
    assert isinstance(unusable, RightsSeen)
    assert (defaults.source, len(defaults.holder_changes)) == (RightsSource.DEFAULTS, len(defaults.holders))
    changed = [(one.right, one.holder, one.is_given) for one in second.holder_changes]
    assert changed == [("audit", "audi", False), ("audit", "dewi", True)]
    assert {one.holder for one in first.holder_changes} == {"audi", "op", "admin"}
    assert (unusable.source, unusable.holders) == (RightsSource.UNUSABLE, ())
    assert "audti" in unusable.reason
    with pytest.raises(RightMissingError):
        rights.changes(Person("vera", frozenset({Right.VIEW})))


def test_a_user_who_comes_with_other_rights_is_an_event(office: Office) -> None:
    """Roles are given in Airflow's own database: they are seen when the user comes."""
    installation = office.lists.installation
    for roles, held in (
        (("user",), {Right.VIEW, Right.SUBMIT}),
        (("user",), {Right.SUBMIT, Right.VIEW}),
        (("op",), {Right.VIEW, Right.APPROVE}),
    ):
        RightsWatch(installation, Remembered()).notice_user(Person("rosa", frozenset(held)), roles, "login")
    newest, oldest = (change.event for change in RightsInForce(installation).changes(AUDITOR).items[:2])
    assert isinstance(newest, UserRightsSeen)
    assert isinstance(oldest, UserRightsSeen)
    assert (oldest.roles, oldest.given_rights, oldest.taken_rights) == (("user",), ("view", "submit"), ())
    assert (newest.roles, newest.given_rights, newest.taken_rights) == (("op",), ("approve",), ("submit",))


def test_two_logins_with_different_roles_are_two_events(office: Office) -> None:
    """A token keeps the role of its login: alternating requests of two browsers must not fill the log."""
    installation = office.lists.installation
    watch = RightsWatch(installation, Remembered())
    for session, role, held in 3 * (("old", "user", Right.SUBMIT), ("new", "op", Right.APPROVE)):
        watch.notice_user(Person("tono", frozenset({held})), (role,), session)
    changes = [change.event for change in RightsInForce(installation).changes(AUDITOR).items]
    seen = [one.roles for one in changes if isinstance(one, UserRightsSeen) and one.user == "tono"]
    assert seen == [("op",), ("user",)]
