"""A replay reads the real log with today's code, and finds whatever it reads differently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from sat_hook.application.log_archive import LogArchive
from sat_hook.application.replayed_results import ResultFiles
from sat_hook.application.retention_plan import RetentionPlan
from sat_hook.application.retention_policy import Kind, RetentionPolicy
from sat_hook.audit.findings import FindingKind
from sat_hook.audit.replay import Replay, Verdict, replay
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain import legacy_events as legacy
from sat_hook.domain.batch import Batch, evolve_batch
from sat_hook.domain.batch_events import BatchResultsWritten
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_commands import RecordStatus
from sat_hook.pipeline import results
from sat_hook.pipeline.batch_summary import summarise
from sat_hook.pipeline.result_rows import EARLIER_FORMS
from sat_hook.pipeline.results import render_results
from sat_hook.store.as_of import as_of_now
from sat_hook.store.database import Database
from sat_hook.store.errors import LogArchivedError, UnsettledPositionError
from sat_hook.store.event_store import Change
from sat_hook.store.log_partitions import LogPartitions
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.retention import RetentionTables
from sat_hook.store.spool import AnySpool, LocalSpool
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import Found, damage
from tests.integration.audit.keeping import Notary
from tests.orders import BY_TEST, T0
from tests.pipeline import Line, line_of
from tests.sql import execute
from tests.unit.cli.running import Run

NUMBER = "081211000001"
CONTENT = (
    "order_id;product_code;client_number\n"
    f"PAID;50k-simpati;{NUMBER}\n"
    "FAILED;pln-postpaid;2121212\n"
    "NO-PRODUCT;nothing;081211000003\n"
).encode()


@dataclass
class Finished:
    """A batch that was paid, and whose results were written."""

    line: Line
    database: ApplicationDatabase
    batch_id: str
    position: int
    """Of the log, right after the results were written."""

    def replay(self, found: Found | None = None, until: int | None = None) -> Replay:
        """As the reader, with everything that was given out."""
        with closing(Database(self.database.reader_dsn)) as opened:
            makers = [ResultFiles(PostgresEventStore(opened), AnySpool())]
            return replay(opened, makers, found or Found(), until=until)

    def reverse(self) -> None:
        """The paid order fails after all."""
        order = self.line.orders(self.batch_id)["PAID"]
        late = RecordStatus("Failed", SystemClock().now(), "f" * 64, error_code="S00")
        assert self.line.handler.apply([OrderCommandRequest(order.request_id, late)], BY_TEST)[
            order.request_id
        ].is_accepted

    def submitted_file(self) -> Path:
        """Where the submitted bytes are kept."""
        batch = self.line.store.load_batch(self.batch_id)
        assert batch is not None
        return Path(unquote(urlsplit(batch.spool_uri).path))


@pytest.fixture
def finished(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Finished]:
    """Paid at a SAT that ends orders at once."""
    at_once = {"fulfilment": {"min_seconds": 0.01, "max_seconds": 0.05}}
    with line_of(database.writer_dsn, tmp_path, faults=at_once) as line:
        batch_id = line.run(CONTENT)
        line.finish(batch_id)
        yield Finished(line, database, batch_id, line.store.close_position())


def test_what_was_written_is_read_the_same(finished: Finished) -> None:
    """State, derived tables and the file that was given out: nothing differs."""
    found = Found()
    replayed = finished.replay(found)
    assert found.findings == []
    assert replayed.is_clean
    assert replayed.until == finished.position
    assert replayed.reports == {"result files": {Verdict.EQUAL: 1}}
    assert replayed.states[StreamKind.ORDER].streams == 3
    assert (replayed.compared, replayed.moved_on) == (5, 0)


def test_the_past_is_replayed_as_it_was(finished: Finished) -> None:
    """After a reversal, the state and the file of then are what they were; only one stream has moved on."""
    before = finished.replay()
    finished.reverse()
    again = finished.replay(until=finished.position)
    assert again.is_clean
    assert (again.compared, again.moved_on) == (4, 1)
    assert again.states[StreamKind.ORDER].digest == before.states[StreamKind.ORDER].digest
    now = finished.replay()
    assert now.is_clean
    assert now.states[StreamKind.ORDER].digest != before.states[StreamKind.ORDER].digest


def test_every_position_is_a_place_in_the_past(finished: Finished) -> None:
    """From before the first event to the last; also between two events of one transaction."""
    streams = []
    for position in range(finished.position + 1):
        found = Found()
        replayed = finished.replay(found, until=position)
        assert found.findings == [], position
        streams.append(sum(state.streams for state in replayed.states.values()))
    assert (streams[0], streams[1], streams[-1]) == (0, 1, 5)
    assert streams == sorted(streams)


def test_a_release_that_reports_differently_is_found_at_line_and_column(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of yesterday would read otherwise today. No cell is shown: most are the customer's."""
    monkeypatch.setitem(results.VERDICTS, OrderState.SUCCEEDED, "done")
    found = Found()
    replayed = finished.replay(found)
    assert replayed.reports == {"result files": {Verdict.DIFFERS: 1}}
    [finding] = found.findings
    assert (finding.kind, finding.place) == (FindingKind.REPORT_DIFFERS, f"batch/{finished.batch_id}")
    assert "line 2 column sat_verdict" in finding.found
    assert "line 3" not in finding.found
    assert NUMBER not in str(finding)


def test_a_stream_that_is_read_differently_is_found_everywhere(finished: Finished) -> None:
    """An amount that folds to another one: the rows that are kept, the file and its summary all say so."""
    damage(
        finished.database,
        "UPDATE sat.events SET data = replace(data, '\"sales_price_rupiah\":', '\"sales_price_rupiah\":1')"
        " WHERE type = 'OrderSucceeded'",
    )
    found = Found()
    assert not finished.replay(found).is_clean
    assert [finding.kind for finding in found.findings] == [
        FindingKind.PROJECTION_DIFFERS,
        FindingKind.PROJECTION_DIFFERS,
        FindingKind.PROJECTION_DIFFERS,
        FindingKind.REPORT_DIFFERS,
        FindingKind.SUMMARY_DIFFERS,
    ]
    sums, movement, differs, report, summary = found.findings
    assert movement.found == "another row in order_movements"
    assert differs.found == "other values in charged_rupiah"
    assert sums.found == "other values in committed_rupiah"
    assert "line 2 column sat_charged_rupiah" in report.found
    assert summary.expected.startswith("1 failed, 1 rejected, 1 succeeded, ")


def test_an_event_that_no_code_reads_is_trouble_and_no_crash(finished: Finished) -> None:
    """The stream does not fold, and the report that needs it cannot be made."""
    damage(finished.database, "UPDATE sat.events SET type = 'OrderDreamt' WHERE type = 'OrderSucceeded'")
    found = Found()
    finished.replay(found)
    assert {finding.kind for finding in found.findings} == {
        FindingKind.STREAM_DOES_NOT_FOLD,
        FindingKind.REPORT_UNAVAILABLE,
    }


def test_a_submitted_file_that_retention_removed_is_named(finished: Finished) -> None:
    """Number and sum of the results follow from the log and are compared; that the bytes are not, is said."""
    finished.submitted_file().unlink()
    found = Found()
    replayed = finished.replay(found)
    assert (replayed.reports, found.findings) == ({"result files": {Verdict.SUMS_ONLY: 1}}, [])
    assert replayed.is_clean
    file = render_results(as_of_now(finished.line.store), finished.line.spool, finished.batch_id)
    assert file.notice is not None
    assert "removed by retention" in file.notice
    assert file.rows == 3
    assert file.summary.counts == summarise(finished.line.store, finished.batch_id).counts


def test_retention_breaks_no_replay(finished: Finished) -> None:
    """Files go when nothing keeps them, once, and are recorded; results and replay then come from the log."""
    unfinished = finished.line.submit(CONTENT.replace(b"PAID", b"OTHER")).batch_id
    file = finished.submitted_file()

    def retention(**policy: bool) -> RetentionPlan:
        spool, tables = finished.line.spool, RetentionTables(finished.line.store.database)
        now = SystemClock().now() + timedelta(days=500)
        return RetentionPlan(RetentionPolicy.model_validate(policy), tables, spool, spool, now)

    waiting = {one.kind: one for one in retention().plan()}
    assert waiting[Kind.SPOOL].items == waiting[Kind.RESULTS].items == 0
    assert sum("is not signed off" in reason for reason in waiting[Kind.SPOOL].stays) == 1
    assert waiting[Kind.SPOOL].stays["the batch has not ended"] == 1
    planned, went, again = (
        {one.kind: (one.items, one.size_bytes) for one in step()}
        for step in (
            retention(require_signed_days=False).plan,
            retention(require_signed_days=False).run,
            retention(require_signed_days=False).run,
        )
    )
    assert planned[Kind.SPOOL] == went[Kind.SPOOL] == (1, len(CONTENT))
    assert (planned[Kind.RESULTS], went[Kind.RESULTS][0]) == (went[Kind.RESULTS], 1)
    assert again[Kind.SPOOL] == again[Kind.RESULTS] == (0, 0)
    assert not file.exists()
    recorded = execute(finished.database.reader_dsn, "SELECT uri, kind FROM sat.removed_files ORDER BY kind")
    assert [kind for _, kind in recorded] == ["results", "spool"]
    assert recorded[1][0] == file.as_uri()
    found = Found()
    replayed = finished.replay(found)
    assert (replayed.reports, found.findings) == ({"result files": {Verdict.SUMS_ONLY: 1}}, [])
    assert render_results(as_of_now(finished.line.store), finished.line.spool, finished.batch_id).rows == 3
    finished.line.take_in(unfinished)


def test_an_archived_batch_is_named_and_can_be_brought_back(finished: Finished, tmp_path: Path) -> None:
    """Its results are not made and not compared while its orders are in a file only."""
    database, line = finished.database, finished.line
    damage(database, "UPDATE sat.events SET recorded_at = recorded_at - interval '100 days'")
    notary = Notary(database, tmp_path / "published")
    notary.make()
    for _ in range(2):
        LogPartitions(line.store.database).make_ahead()
    (tmp_path / "archive").mkdir()
    with closing(Database(database.owner_dsn)) as owner:
        spool = LocalSpool(tmp_path / "archive")
        archive = LogArchive(owner, spool, notary.keys, notary.publication, SystemClock())
        assert archive.archive("events_0000").moved_events > 0
        found = Found()
        assert finished.replay(found).reports == {"result files": {Verdict.ARCHIVED: 1}}
        with pytest.raises(LogArchivedError, match="sat retention restore events_0000"):
            render_results(as_of_now(line.store), line.spool, finished.batch_id)
        notary.make()
        verified, damaged = notary.verify()
        assert (damaged.findings, verified.chain.uncovered_events) == ([], 0)
        archive.restore("events_0000")
    assert finished.replay(found).reports == {"result files": {Verdict.EQUAL: 1}}
    assert found.findings == []


def test_sums_are_compared_without_the_submitted_file(finished: Finished) -> None:
    """What the log comes to is another sum than was given out: that is found without the file, too."""
    finished.submitted_file().unlink()
    damage(
        finished.database,
        "UPDATE sat.events SET data = replace(data, '\"sales_price_rupiah\":', '\"sales_price_rupiah\":1')"
        " WHERE type = 'OrderSucceeded'",
    )
    found = Found()
    assert finished.replay(found).reports == {"result files": {Verdict.DIFFERS: 1}}
    assert FindingKind.SUMMARY_DIFFERS in [finding.kind for finding in found.findings]


def test_files_that_an_earlier_release_wrote_are_known(line: Line, database: ApplicationDatabase) -> None:
    """It neutralised formulas at the begin of a cell only, and took bytes 80 to 9F for control characters."""
    content = b"order_id,product_code,client_number,note:x\nA-1,nothing,081211000001,\x96 a;=1\n"
    batch_id = line.submit(content).batch_id
    line.take_in(batch_id)
    file = render_results(as_of_now(line.store), line.spool, batch_id, EARLIER_FORMS[0])
    assert file.digest != render_results(as_of_now(line.store), line.spool, batch_id).digest
    uri = line.spool.write(f"results/{batch_id}/{file.name}", file.content)
    counts = file.summary.orders_by_state
    written = BatchResultsWritten(
        uri=uri, digest=file.digest, rows=1, position=file.position, counts=counts, charged_rupiah=0
    )
    line.handler.apply_to_batch(batch_id, Record(written), BY_TEST)
    position = line.store.close_position()
    assert Finished(line, database, batch_id, position).replay().reports == {
        "result files": {Verdict.EQUAL: 1}
    }


@pytest.mark.parametrize("is_unreachable", [True, False])
def test_what_a_report_was_made_from_must_not_be_changed(finished: Finished, is_unreachable: bool) -> None:
    """Other bytes in its place, or a spool that is not there, are no retention."""
    file = finished.submitted_file()
    if is_unreachable:
        spool = file.parents[2]
        spool.rename(spool.with_name("unmounted"))
    else:
        file.write_bytes(b"order_id\n")
    found = Found()
    assert finished.replay(found).reports == {"result files": {Verdict.DIFFERS: 1}}
    assert [finding.kind for finding in found.findings] == [FindingKind.REPORT_UNAVAILABLE]


@pytest.mark.parametrize(("digest", "verdict"), [(None, Verdict.EQUAL), ("0" * 64, Verdict.NOT_COMPARABLE)])
def test_files_of_an_unknown_position_are_compared_where_it_can_be_known(
    finished: Finished, digest: str | None, verdict: Verdict
) -> None:
    """Events of the first schema have no position: only the one right before the event is tried."""
    store = finished.line.store
    batch = store.load_batch(finished.batch_id)
    assert batch is not None
    assert batch.results_uri is not None
    event = legacy.BatchResultsWritten(
        uri=batch.results_uri, digest=digest or batch.results_digest or "", rows=3
    )
    after: Batch = evolve_batch(batch, batch.batch_id, event)
    stream = StreamId(StreamKind.BATCH, batch.batch_id)
    assert not store.append([Change(stream, batch.version, (event,), after)], BY_TEST, T0)
    replayed = finished.replay()
    assert replayed.reports["result files"][verdict] == (2 if verdict is Verdict.EQUAL else 1)
    assert replayed.is_clean


def test_tables_of_another_release_are_compared_by_what_both_know(finished: Finished) -> None:
    """Before a deploy the tables are the old release's: a new member is no difference, another value is."""
    damage(
        finished.database,
        "UPDATE sat.orders"
        " SET document = coalesce(document, '{}') - 'overcharged_rupiah' || '{\"of_old\": 1}'",
    )
    assert not finished.replay().is_clean
    damage(finished.database, "UPDATE sat.orders SET is_inquiry = NULL")
    execute(finished.database.owner_dsn, "COMMENT ON SCHEMA sat IS 'the shape of an older release'")
    found = Found()
    replayed = finished.replay(found)
    assert not replayed.same_shape
    # The rejected order was never validated: null is right for it.
    assert [finding.found for finding in found.findings] == ["other values in is_inquiry"] * 2


def test_the_schema_may_be_that_of_the_release_that_runs(finished: Finished) -> None:
    """A replay comes before the migration: tables that are still to come are not missed."""
    damage(
        finished.database,
        *(
            f"DROP TABLE sat.{table} CASCADE"
            for table in ("product_prices", "price_changes", "price_snapshots", "checkpoints", "alerts")
        ),
    )
    assert finished.replay().is_clean


def test_the_future_is_not_replayed(finished: Finished) -> None:
    """The log has to reach there."""
    with pytest.raises(UnsettledPositionError):
        finished.replay(until=finished.position + 1)


def test_the_exit_code_is_the_verdict(run: Run, finished: Finished, tmp_path: Path) -> None:
    """0 with what was compared, 1 with what differs, 2 for what is no place in the log."""
    env = {"SAT_DB_DSN": finished.database.reader_dsn}
    clean = run("replay", "--state", "state.jsonl", env=env)
    assert (clean.code, clean.err) == (0, "")
    assert f"5 streams folded up to position {finished.position}" in clean.out
    assert "result files given out after position 0: 1 equal" in clean.out
    assert "Nothing differs" in clean.out
    state = tmp_path / "state.jsonl"
    assert state.stat().st_mode & 0o777 == 0o600
    states = [json.loads(line) for line in state.read_text("utf-8").splitlines()]
    assert len(states) == 5
    assert {document["stream"].partition("/")[0] for document in states} == {"account", "order", "batch"}

    now = datetime.now(UTC).isoformat()
    finished.reverse()
    then = run("replay", "--until", now, "--since", now, env=env)
    assert then.code == 0, then.out
    assert "4 of them compared with the derived tables; 1 have moved on since" in then.out
    assert f"given out after position {finished.position}: none" in then.out
    assert run("replay", "--until", str(finished.position), env=env).code == 0
    assert "0 streams folded" in run("replay", "--until", "2020-01-01", env=env).out

    finished.submitted_file().write_bytes(b"something else")
    differs = run("replay", env=env)
    assert differs.code == 1
    assert "report_unavailable" in differs.out
    assert "1 differences" in differs.out

    for option, text in (("--until", "tomorrow"), ("--since", "-3")):
        wrong = run("replay", option, text, env=env)
        assert (wrong.code, "which is no position: found" in wrong.err) == (2, True)
    for option in ("--until", "--since"):
        to_come = run("replay", option, "2126-01-01", env=env)
        assert (to_come.code, "a moment that has not been yet" in to_come.err) == (2, True), to_come
    beyond = run("replay", "--until", "999999", env=env)
    assert (beyond.code, "position 999999: found a log" in beyond.err) == (2, True)
