"""An office to test pages in: a database, a SAT server, the web application, and the people who use it.

Runs work: what a page starts is paid by a thread, with the steps of the DAG, and waits for its approval. So
the browser sees submitted files become paid orders.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.requests import Request

from sandbox.testing import SandboxServer
from sat_hook.application.batch_run import BatchRun, RunFacts
from sat_hook.application.evidence_packs import EXPORT_DAG
from sat_hook.application.ports import Ports
from sat_hook.application.rights import Right
from sat_hook.application.runs import CLOSING_DAG, Run, RunState
from sat_hook.application.verifications import VERIFICATION_DAG
from sat_hook.audit.checkpoint_verification import Trust
from sat_hook.audit.checkpoints import make_checkpoints
from sat_hook.audit.exports import load_export, record_written, requested_by
from sat_hook.audit.keys import AuditSigner, AuditVerifier, new_audit_key
from sat_hook.audit.log_verification import record_verification, verify_log
from sat_hook.audit.pack import PackWriter
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.batch_events import ShortFundsPolicy
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.errors import StepError
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.export import ExportWritten
from sat_hook.domain.guards import AccountRules, GuardRules
from sat_hook.domain.identity import digest_of
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.protocol.errors import SATError
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.day_close import close_day
from sat_hook.reconciliation.kept_reports import keep_report
from sat_hook.reconciliation.versions import versions_of
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from stack.databases import ApplicationDatabase
from tests.browser.chromium import Page
from tests.console_server import COOKIE, console_server
from tests.orders import ACCOUNT
from tests.pipeline import Line, account_settings
from tests.web_host import FakeAccounts, FakeHost, FakeRuns, FakeUser, LiveConnection

CONNECTION = "sat_default"
RULES = AccountRules(GuardRules(order_limit_rupiah=1_000_000), approval_over_rupiah=500_000)
"""The rules of the connection: a batch of more than Rp 500.000 needs a second person."""
REJECT = "Reject"
LOOK_AGAIN_SECONDS = 0.2

USERS = (
    FakeUser(
        "rosa",
        frozenset({Right.VIEW, Right.VIEW_NUMBERS, Right.SUBMIT, Right.DELIVER, Right.PAUSE}),
    ),
    FakeUser(
        "carl",
        frozenset({Right.VIEW, Right.VIEW_NUMBERS, Right.APPROVE, Right.DECIDE, Right.PAUSE}),
    ),
    FakeUser("vera", frozenset({Right.VIEW})),
    FakeUser("fina", frozenset({Right.VIEW, Right.FINANCE, Right.SIGN_OFF})),
    FakeUser("audi", frozenset({Right.VIEW, Right.AUDIT})),
    FakeUser("adam"),
)
"""A maker, a checker, a viewer, finance, an auditor, and one with every right."""


class OfficeAccounts(FakeAccounts):
    """The accounts of the office; each use opens a connection of its own, as in Airflow."""

    def connect(self, connection: str, database: Database | None = None) -> LiveConnection:
        """A connection for one use."""
        known = self.connections[connection]
        return LiveConnection(known.settings(), RULES)


@dataclass
class OfficeAudit:
    """Runs of an audit, with the steps of the operators."""

    store: PostgresEventStore
    results: LocalSpool
    signer: AuditSigner = field(default_factory=lambda: AuditSigner(new_audit_key()[0]))

    def carry_out(self, run: Run, user: str) -> None:
        """Cover the log with checkpoints; then write the pack, or verify."""
        clock, database = SystemClock(), self.store.database
        by = Provenance(f"user:{user}", f"task {run.dag_id} run {run.run_id}")
        trust = Trust(AuditVerifier([self.signer.public_key_pem()]))
        make_checkpoints(database, self.signer, clock, trust.keys)
        if run.dag_id == VERIFICATION_DAG:
            began_at = clock.now()
            verified = verify_log(database, print, trust)
            handler = CommandHandler(self.store, clock)
            record_verification(handler, verified, trust, began_at, by, is_everything=True)
            return
        export_id = run.conf["export_id"]
        export = load_export(self.store, export_id)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "pack.zip"
            asker = requested_by(self.store, export_id)
            pack = PackWriter(database, export, asker, self.signer, trust.keys).write(path)
            uri = self.results.write(f"exports/{export_id}.zip", path.read_bytes())
        members = {name: getattr(pack, name) for name in ("digest", "size_bytes", "events")}
        written = ExportWritten(
            uri=uri,
            first_checkpoint=pack.first_checkpoint,
            last_checkpoint=pack.last_checkpoint,
            **members,
        )
        record_written(self.store, clock, export_id, written, by)


@dataclass
class OfficeRuns(FakeRuns):
    """Runs of batches and audits, carried out in threads with the steps of the DAG."""

    ports: Ports | None = None
    audit: OfficeAudit | None = None
    threads: list[threading.Thread] = field(default_factory=list)
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)

    def start(
        self,
        dag_id: str,
        run_id: str,
        conf: Mapping[str, Any],
        *,
        note: str = "",
        at: datetime | None = None,
        user: str = "airflow",
    ) -> bool:
        """Once for each id; a run of a batch begins at its time."""
        is_new = super().start(dag_id, run_id, conf, note=note, at=at)
        if is_new and (conf.get("batch_id") or dag_id in (CLOSING_DAG, VERIFICATION_DAG, EXPORT_DAG)):
            thread = threading.Thread(target=self._carry_out, args=(self.started[run_id], user), daemon=True)
            self.threads.append(thread)
            thread.start()
        return is_new

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, user: str = "airflow") -> None:
        """The run that waits for it goes on."""
        super().answer(dag_id, run_id, task_id, option)
        self.answers[run_id] = (user, option)

    def close(self) -> None:
        """End every run that waits."""
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def _carry_out(self, run: Run, user: str) -> None:
        while datetime.now(UTC) < run.run_after:
            if self.is_over.wait(LOOK_AGAIN_SECONDS) or self.started[run.run_id].state.is_final:
                return
        self._become(run, RunState.RUNNING)
        try:
            if run.dag_id == CLOSING_DAG:
                self._close_day(run, user)
            elif run.conf.get("batch_id"):
                self._pay(run, user)
            else:
                assert self.audit is not None
                self.audit.carry_out(run, user)
        except (StepError, SATError) as error:
            self.errors[run.run_id] = error
            self._become(run, RunState.FAILED)
        except _OverError:
            return
        except Exception as error:
            self.errors[run.run_id] = error
            self._become(run, RunState.FAILED)
            raise
        else:
            self._become(run, RunState.SUCCESS)

    def _pay(self, run: Run, user: str) -> None:
        """The steps of the DAG, in its order, as one chunk."""
        assert self.ports is not None
        conf = run.conf
        names = ("approval_over_rupiah", *GuardRules.__dataclass_fields__)
        batch = BatchRun(
            self.ports,
            conf["batch_id"],
            RunFacts(
                Provenance("service:airflow", f"task {run.dag_id}/{run.run_id}"),
                user=user,
                run=f"{run.dag_id}/{run.run_id}",
                parameters={name: str(value) for name, value in conf.items()},
            ),
            {name: conf[name] for name in names if conf.get(name) is not None},
            approve_held=bool(conf.get("approve_held")),
        )
        bad_rows = BadRowsPolicy(conf.get("on_bad_rows") or BadRowsPolicy.PROCEED)
        short = ShortFundsPolicy(conf.get("on_short_funds") or ShortFundsPolicy.WAIT)
        try:
            batch.intake(bad_rows)
            asyncio.run(batch.validate(bad_rows))
            asyncio.run(batch.check_balance(short, self.ports.limits.funding))
            asyncio.run(batch.quote())
            batch.close_quotes()
            batch.guard()
            self._wait_for_approval(batch, run.run_id)
            funding = self.ports.limits.funding
            while asyncio.run(batch.reserve(short, funding)).is_short and short is ShortFundsPolicy.WAIT:
                self._pause()
            asyncio.run(batch.execute())
        finally:
            if not self.is_over.is_set():
                asyncio.run(self._wait_for_ends(batch))
                batch.results()

    def _close_day(self, run: Run, user: str) -> None:
        """The steps of the nightly DAG that need no SAT, one after the other."""
        assert self.ports is not None
        spool, tasks = self.ports.results, self.tasks_of.setdefault(run.run_id, {})
        assert isinstance(spool, LocalSpool)
        for task in ("day", "books.observe", "books.ask_again", "books.settlements"):
            tasks[task] = "running"
            self._pause()
            tasks[task] = "success"
        tasks["books.close"] = "running"
        keeper, day = BookKeeper(self.ports.store, SystemClock()), date.fromisoformat(run.conf["day"])
        by = Provenance(f"user:{user}", f"task {run.dag_id}/{run.run_id}")
        business_day = BusinessDay(day, run.conf.get("cut_off_minutes", 0))
        closed = close_day(keeper, spool, ACCOUNT, business_day, by)
        keep_report(spool, versions_of(keeper.store.database, ACCOUNT, day), closed.close)
        tasks["books.close"] = "success"

    def _wait_for_approval(self, batch: BatchRun, run_id: str) -> None:
        while (request := batch.ask_approval()) is not None:
            user, option = self.answers.pop(run_id, (None, ""))
            if user is not None:
                by = Provenance(f"user:{user}", "answer to task approve")
                batch.answer_approval(request.terms, by, approves=option != REJECT)
            else:
                self._pause()

    async def _wait_for_ends(self, batch: BatchRun) -> None:
        async with batch.ports.sat() as sat:
            while (await batch.wait(sat)).left and not self.is_over.is_set():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _pause(self) -> None:
        if self.is_over.wait(LOOK_AGAIN_SECONDS):
            raise _OverError

    def _become(self, run: Run, state: RunState) -> None:
        self.started[run.run_id] = self.started[run.run_id]._replace(state=state)


class _OverError(Exception):
    """The office closes."""


class RunsOfUser:
    """The office's runs, on behalf of a user."""

    def __init__(self, runs: OfficeRuns, user: str) -> None:
        self._runs = runs
        self.start = partial(runs.start, user=user)
        self.answer = partial(runs.answer, user=user)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs, name)


class OfficeHost(FakeHost):
    """The host of the office: its runs know who acts."""

    airflow: OfficeRuns

    def session_of(self, request: Request) -> str:
        """One for each user."""
        return digest_of(request.cookies.get(COOKIE, "").encode())[:16]

    def runs(self, request: Request) -> RunsOfUser:  # type: ignore[override]
        """On behalf of the user of the request."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return RunsOfUser(self.airflow, token or request.cookies.get(COOKIE, ""))


@dataclass
class Office:
    """An office that is open.

    :ivar url: the address of the web application; the console is at ``{url}/console/``.
    :ivar line: runs steps of batches, and holds the store, the spool and the SAT server.
    :ivar batches: the ids of the batches of the past, by the name that :mod:`tests.browser.past` gives them.
    """

    url: str
    database: ApplicationDatabase
    line: Line
    host: OfficeHost
    batches: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> PostgresEventStore:
        """The log."""
        return self.line.store

    @property
    def server(self) -> SandboxServer:
        """SAT."""
        return self.line.server

    @property
    def runs(self) -> OfficeRuns:
        """Airflow."""
        return self.host.airflow

    def address(self, path: str = "/") -> str:
        """A page of the console."""
        return f"{self.url}/console{path}"

    def log_in(self, page: Page, user: str) -> None:
        """From now on the page belongs to a user: rosa, carl, vera, fina, audi or adam."""
        page.set_cookie(self.url, COOKIE, user)

    def wait_for_run(self, run_id: str, seconds: float = 60.0) -> Run:
        """The run, once it has ended; an unexpected error of it is raised here."""
        deadline = time.monotonic() + seconds
        while not self.runs.started[run_id].state.is_final:
            assert time.monotonic() < deadline, f"run {run_id} has not ended after {seconds:.0f} seconds"
            time.sleep(0.05)
        return self.runs.started[run_id]


@contextmanager
def office_on(database: ApplicationDatabase, folder: Path, *, with_past: bool = True) -> Iterator[Office]:
    """Open an office on an empty database."""
    from tests.browser.past import FULFILMENT, fill

    with SandboxServer(seed=7, faults={"deposit_rupiah": 25_000_000, "fulfilment": FULFILMENT}) as server:
        writer = Database(database.writer_dsn, "tests")
        settings = account_settings(server)
        line = Line(PostgresEventStore(writer), LocalSpool(folder / "spool"), server, settings)
        host = OfficeHost(*USERS, store=line.store, folder=folder)
        host.accounts = OfficeAccounts(
            {CONNECTION: ACCOUNT, "sat_cabang": "cabang"},
            {
                CONNECTION: LiveConnection(settings, RULES),
                "sat_cabang": LiveConnection(replace(settings, account="cabang"), RULES),
            },
        )
        ports = replace(line.ports, connection=CONNECTION, rules=lambda: RULES, results=LocalSpool(folder))
        host.airflow = OfficeRuns(ports=ports, audit=OfficeAudit(line.store, LocalSpool(folder)))
        try:
            with console_server(host) as url:
                office = Office(url, database, line, host)
                if with_past:
                    office.batches = fill(office)
                yield office
        finally:
            host.airflow.close()
            writer.close()


@contextmanager
def open_office(*, with_past: bool = True) -> Iterator[Office]:
    """Open an office with a database server of its own, for scripts."""
    from tests.postgres import DatabaseTemplate, server_for_tests

    with server_for_tests() as dsn, TemporaryDirectory(prefix="sat-office-") as folder:
        template = DatabaseTemplate(dsn)
        try:
            with (
                template.copy() as database,
                office_on(database, Path(folder), with_past=with_past) as office,
            ):
                yield office
        finally:
            template.drop()
