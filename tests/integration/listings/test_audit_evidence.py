"""Verifications, evidence packs and sign-ins, as people see and start them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sat_hook.application.audit_log import AuditLog, LogQuery
from sat_hook.application.errors import RightMissingError
from sat_hook.application.evidence_packs import EXPORT_DAG, EvidencePacks
from sat_hook.application.rights import Person, Right
from sat_hook.application.sessions import Remembered, SignIns
from sat_hook.application.verifications import VERIFICATION_DAG, Verifications
from sat_hook.audit.actions import ACCESS_TYPES
from sat_hook.audit.errors import ExportNotFoundError, ExportRefusedError
from sat_hook.audit.exports import record_written
from sat_hook.audit.full_verification import FullVerification, Progress
from sat_hook.audit.log_verification import record_verification, verify_log
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.errors import ReasonRefusedError
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.business_day import midnight
from sat_hook.domain.export import Export, ExportWritten
from sat_hook.domain.identity import digest_of
from sat_hook.store.alerts import AlertBook
from stack.databases import ApplicationDatabase
from tests.integration.audit.keeping import Notary
from tests.integration.listings.conftest import Office, office_in
from tests.orders import BY_TEST
from tests.web_host import FakeHost, FakeRuns

AUDITOR = Person("audi", frozenset({Right.AUDIT}))
OTHER = Person("olga", frozenset({Right.AUDIT}))
OTHERS = Person("vera", frozenset(Right) - {Right.AUDIT})
PACK = b"a pack"


@pytest.fixture
def office(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Office]:
    """A log with a batch, and a folder for packs."""
    with office_in(database) as office:
        host = office.lists.installation
        assert isinstance(host, FakeHost)
        host._folder = tmp_path
        office.batch("first")
        yield office


@pytest.fixture
def packs(office: Office) -> EvidencePacks:
    """Its packs."""
    return EvidencePacks(office.lists.installation)


def ask(packs: EvidencePacks, person: Person, *, personal: bool = False, reason: str = "the audit") -> Export:
    """Ask for yesterday and today."""
    now = datetime.now(UTC)
    return packs.request(
        recorded_from=now - timedelta(days=1), recorded_before=now + timedelta(days=1),
        with_personal_data=personal, reason=reason, person=person,
    )  # fmt: skip


def write(packs: EvidencePacks, export: Export) -> None:
    """What the task records once it has written the pack."""
    uri = packs.installation.results().write(f"{export.export_id}.zip", PACK)
    written = ExportWritten(
        uri=uri, digest=digest_of(PACK), size_bytes=len(PACK), events=9, first_checkpoint=1, last_checkpoint=2
    )
    record_written(packs.installation.store(), SystemClock(), export.export_id, written, BY_TEST)


def test_a_pack_is_followed_from_the_request_to_its_downloads(packs: EvidencePacks) -> None:
    """Who asked and why, what was written, and who has it; the newest pack is first."""
    assert packs.packs(AUDITOR).items == ()
    first = ask(packs, AUDITOR, reason="audit of 081211311111")
    second = ask(packs, OTHER)
    row = packs.pack(first.export_id, AUDITOR)
    assert (row.asker, row.reason, row.written, row.receivers) == ("audi", "audit of ***", None, ())
    write(packs, first)
    exported, content = packs.hand_out(first.export_id, OTHER)
    with content:
        assert content.read() == PACK
    row = packs.pack(first.export_id, AUDITOR)
    assert row.written is not None
    assert (row.written.events, row.written.digest) == (9, exported.digest)
    assert [user for user, _ in row.receivers] == ["olga"]
    assert [one.export.export_id for one in packs.packs(AUDITOR).items] == [second.export_id, first.export_id]
    with pytest.raises(ExportNotFoundError):
        packs.pack(f"X{'A' * 25}", AUDITOR)


def test_packs_come_in_pages(packs: EvidencePacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pack once."""
    monkeypatch.setattr("sat_hook.application.evidence_packs.PAGE", 2)
    asked = [ask(packs, AUDITOR, reason=f"reason {number}").export_id for number in range(5)]
    found, cursor = [], None
    while True:
        page = packs.packs(AUDITOR, cursor=cursor)
        found += [row.export.export_id for row in page.items]
        if page.next is None:
            break
        cursor = page.next
    assert found == asked[::-1]


def test_a_pack_with_personal_data_is_for_its_asker_alone(packs: EvidencePacks) -> None:
    """Another auditor sees that it exists, and does not get it; the asker must give a reason."""
    with pytest.raises(ReasonRefusedError):
        ask(packs, AUDITOR, personal=True, reason="")
    export = ask(packs, AUDITOR, personal=True)
    write(packs, export)
    row = packs.pack(export.export_id, OTHER)
    assert (row.is_for(AUDITOR), row.is_for(OTHER)) == (True, False)
    with pytest.raises(ExportRefusedError, match="expected user:audi"):
        packs.hand_out(export.export_id, OTHER)
    assert packs.pack(export.export_id, OTHER).receivers == ()


def test_days_of_a_pack_are_business_days(packs: EvidencePacks) -> None:
    """The last one is included, though the period ends at its midnight."""
    export = packs.request(
        recorded_from=midnight(date(2026, 1, 1)), recorded_before=midnight(date(2026, 1, 4)),
        with_personal_data=False, reason="", person=AUDITOR,
    )  # fmt: skip
    row = packs.pack(export.export_id, AUDITOR)
    assert (row.first_day, row.last_day) == (date(2026, 1, 1), date(2026, 1, 3))


def test_a_run_writes_the_pack(packs: EvidencePacks) -> None:
    """It is started once under the pack's own id, however often a person asks for it."""
    runs = FakeRuns()
    export = ask(packs, AUDITOR)
    assert packs.run(export.export_id, AUDITOR, runs) is None
    for _ in range(2):
        packs.start(export.export_id, AUDITOR, runs)
    run = packs.run(export.export_id, AUDITOR, runs)
    assert run is not None
    assert (run.dag_id, dict(run.conf)) == (EXPORT_DAG, {"export_id": export.export_id})
    with pytest.raises(ExportNotFoundError):
        packs.start(f"X{'A' * 25}", AUDITOR, runs)


def test_a_verification_says_what_it_covered(
    office: Office, database: ApplicationDatabase, tmp_path: Path
) -> None:
    """When, up to where, by which keys, and what was found; alerts about the log stand beside it."""
    verifications = Verifications(office.lists.installation)
    assert verifications.recent(AUDITOR) == ()
    assert verifications.cover(AUDITOR).checkpoint is None
    notary = Notary(database, tmp_path / "published")
    notary.make()
    verified = verify_log(office.store.database, print, notary.trust)
    record_verification(
        office.handler, verified, notary.trust, datetime.now(UTC), AUDITOR.by("x"), is_everything=True
    )
    [row] = verifications.recent(AUDITOR)
    assert (row.user, row.verified.key_ids, row.verified.findings) == ("audi", (notary.signer.key_id,), {})
    cover = verifications.cover(AUDITOR)
    assert cover.checkpoint is not None
    assert (cover.checkpoint.last_position, cover.last_position) == (
        row.verified.covered_position,
        row.position,
    )
    assert cover.key_id == notary.signer.key_id
    full = verifications.full(AUDITOR)
    assert full.last is not None
    assert (full.last.position, full.under_way) == (row.verified.covered_position, None)
    background = FullVerification(office.store.database, notary.trust, notary.signer)
    progress, _ = background.next_part(Progress(began_at=datetime.now(UTC)), print)
    background.keep(progress)
    assert verifications.full(AUDITOR).under_way == progress
    now = datetime.now(UTC)
    book = AlertBook(office.store.database)
    book.add(
        [Alert(kind.value, kind, "*", "text", now) for kind in (AlertKind.LOG_DAMAGED, AlertKind.PRICE_JUMP)]
    )
    assert [told.alert.kind for told in verifications.alerts(AUDITOR)] == [AlertKind.LOG_DAMAGED]


def test_a_verification_is_started_once_a_minute_by_a_person(office: Office) -> None:
    """A second press of the button finds the run of the first."""
    verifications, runs = Verifications(office.lists.installation), FakeRuns()
    started = {verifications.start(AUDITOR, runs, everything=True) for _ in range(3)}
    assert len(runs.started) == len(started) <= 2
    run = verifications.run(started.pop(), AUDITOR, runs)
    assert run is not None
    assert (run.dag_id, dict(run.conf)) == (VERIFICATION_DAG, {"everything": True})
    assert verifications.start(OTHER, runs, everything=False) not in started


def test_a_sign_in_is_recorded_once_for_each_login(office: Office) -> None:
    """Whatever the process that it reaches; without a session nothing is recorded."""
    host = office.lists.installation
    one, another = SignIns(host, Remembered()), SignIns(host, Remembered())
    for sign_ins, session in ((one, "a"), (one, "a"), (another, "a"), (another, "b"), (one, "b"), (one, "")):
        sign_ins.notice(AUDITOR, session)
    one.notice(OTHERS, "a")
    acts = AuditLog(host).acts(LogQuery(types=ACCESS_TYPES), AUDITOR).items
    assert [(act.event.user, act.event.entry.parameters["session"]) for act in acts] == [
        ("vera", "a"),
        ("audi", "b"),
        ("audi", "a"),
    ]


def test_everything_needs_the_right_to_audit(office: Office, packs: EvidencePacks) -> None:
    """Reading, asking, starting and downloading."""
    verifications, runs = Verifications(office.lists.installation), FakeRuns()
    export = ask(packs, AUDITOR)
    for act in (
        lambda: packs.packs(OTHERS),
        lambda: packs.pack(export.export_id, OTHERS),
        lambda: packs.start(export.export_id, OTHERS, runs),
        lambda: packs.run(export.export_id, OTHERS, runs),
        lambda: ask(packs, OTHERS),
        lambda: packs.hand_out(export.export_id, OTHERS),
        lambda: verifications.recent(OTHERS),
        lambda: verifications.cover(OTHERS),
        lambda: verifications.alerts(OTHERS),
        lambda: verifications.start(OTHERS, runs, everything=True),
        lambda: verifications.run("verify_x", OTHERS, runs),
    ):
        with pytest.raises(RightMissingError, match="audit"):
            act()
    assert runs.started == {}
