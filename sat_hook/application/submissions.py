"""Submit a file of orders, or check it without submitting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from sat_hook.application.installation import AccountNames, names_of
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service, clock_on
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.batch_events import Preparation
from sat_hook.domain.funds import BalanceObservation
from sat_hook.pipeline.account_rules import rules_of_account
from sat_hook.pipeline.batch_check import BatchCheck, Surroundings, check_batch
from sat_hook.pipeline.file_submission import FileSubmission, order_file, submit_file
from sat_hook.pipeline.funding import observation_of
from sat_hook.pipeline.limits import BadRowsPolicy, FileLimits
from sat_hook.pipeline.rows_as_file import rows_as_file
from sat_hook.pipeline.validation import catalogue_of
from sat_hook.protocol.calls import account_call
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.store.order_intake import IntakeRow


@dataclass(frozen=True, slots=True)
class OrderUpload:
    """An uploaded file of orders, or rows that come from no file.

    :param account: its account, by its connection or by its name in the log.
    :param content: the file; rows become one, whose header is row 1.
    """

    account: str
    file_name: str
    reference: str | None
    on_bad_rows: BadRowsPolicy
    content: bytes | tuple[IntakeRow, ...]

    def file(self, limits: FileLimits) -> bytes:
        """The file that is submitted."""
        return self.content if isinstance(self.content, bytes) else rows_as_file(self.content, limits)


@dataclass(frozen=True, slots=True)
class Submissions(Service):
    """Accepts files."""

    def submit(
        self, upload: OrderUpload, person: Person, preparations: tuple[Preparation, ...] = ()
    ) -> tuple[AccountNames, FileSubmission]:
        """Store the file and register it as a batch. The same file again is the same batch.

        :raises SubmissionRefusedError: the file cannot become a batch; nothing is stored.
        :raises AccountPausedError: the account is paused; nothing is stored.
        """
        person.require(Right.SUBMIT)
        names, store = names_of(self.installation.accounts, upload.account), self.store
        limits = self.installation.settings().maximum
        submitted = submit_file(
            store,
            self.installation.submissions(),
            clock_on(store),
            account=names.account,
            reference=upload.reference,
            file_name=upload.file_name,
            content=upload.file(limits),
            provenance=person.by("submit"),
            on_bad_rows=upload.on_bad_rows,
            limits=limits,
            preparations=preparations,
        )
        return names, submitted

    def check(self, upload: OrderUpload, person: Person) -> tuple[AccountNames, BatchCheck]:
        """Check the file without submitting it. Records nothing.

        :raises SubmissionRefusedError: the file cannot become a batch.
        :raises SATError: SAT's price list or the deposit cannot be read.
        """
        person.require(Right.SUBMIT)
        names = names_of(self.installation.accounts, upload.account)
        limits = self.installation.settings().maximum
        content, _ = order_file(upload.file(limits), upload.file_name, limits)
        with self._surroundings_of(names.connection) as around:
            found = check_batch(
                around,
                account=names.account,
                reference=upload.reference,
                file_name=upload.file_name,
                content=content,
                on_bad_rows=upload.on_bad_rows,
            )
        return names, found

    @contextmanager
    def _surroundings_of(self, connection: str) -> Iterator[Surroundings]:
        """The account of a connection: its price list and deposit at SAT, its orders, funds and rules."""
        store, clock = self.store, SystemClock()
        deployment = self.installation.settings()
        sat = self.installation.accounts.connect(connection, store.database)

        def deposit() -> BalanceObservation:
            reply = sat.ask(account_call())
            return observation_of(sat.settings().account, reply, reply.began_at, clock.now())

        with closing(sat):
            yield Surroundings(
                store=store,
                ledger=PostgresGuardLedger(store.database),
                funds=PostgresFunds(store.database),
                clock=clock,
                rules=sat.rules().stricter(rules_of_account(store, sat.settings().account)),
                catalogue=lambda: catalogue_of(sat.list_product()),
                deposit=deposit,
                files=deployment.maximum,
                funding=deployment.funding,
            )
