"""What has happened in the office before a test: batches in every state, deposits, prices, alerts.

The real pipeline makes it, against the SAT server; only old deposits and prices are written as they were.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sat_hook.application.runs import BATCH_DAG, Run, RunState
from sat_hook.catalogue.snapshot import take_snapshot
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.batch_events import BatchSource, BatchStartPlanned, ShortFundsPolicy
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.guards import GuardRules
from sat_hook.domain.prices import ListedProduct
from sat_hook.pipeline.account_rules import adopt_rules
from sat_hook.pipeline.alerting import collect_alerts
from sat_hook.pipeline.delivery import deliver
from sat_hook.pipeline.file_submission import submit_file
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.limits import AlertingLimits, RecoveryLimits
from sat_hook.pipeline.overrides import pause_account
from sat_hook.pipeline.submission import submit
from sat_hook.pipeline.withdrawal import withdraw_batch
from sat_hook.store.alerts import AlertBook
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.store.prices import PriceHistory
from tests.integration.pipeline.test_recovery import AT_ONCE, recover
from tests.orders import ACCOUNT, BY_TEST, ManualClock
from tests.price_lists import ListingSAT

if TYPE_CHECKING:
    from tests.browser.office import Office

FULFILMENT = {"min_seconds": 0.05, "max_seconds": 0.1}
ROSA = Provenance("user:rosa", "plugin:submit")
DAYS_OF_DEPOSITS = 30
FAILS, LOST, STUCK = "081200000404", "081200000909", "08129999*"

HEADER = "order_id,product_code,client_number\n"


def fill(office: Office) -> dict[str, str]:
    """Let the past happen; returns its batches by name."""
    _observe_deposits(office)
    _watch_prices(office)
    past = _Past(office)
    batches = {
        "complete": past.complete(),
        "vouchers": past.vouchers(),
        "held": past.held(),
        "escalated": past.escalated(),
        "withdrawn": past.withdrawn(),
        "refused": past.refused(),
        "short_of_funds": past.short_of_funds(),
        "being_paid": past.being_paid(),
        "stopped": past.stopped(),
        "planned": past.planned(),
        "waiting_for_approval": past.waiting_for_approval(),
    }
    pause_account(
        office.line.handler,
        "cabang",
        "Nomor rekening cabang sedang diperiksa",
        Provenance("user:carl", "plugin:pause"),
    )
    collect_alerts(office.store, AlertBook(office.store.database), AlertingLimits())
    return batches


def ask_for_approval(office: Office, name: str, rows: str) -> str:
    """A further batch of rosa's; its run waits for its approval, where the account's rules need one."""
    past = _Past(office)
    batch_id = past.submitted(name, name, HEADER + rows)
    past.start(batch_id)
    past.wait_until_asked(batch_id)
    return batch_id


class _Past:
    """One method for each batch; together they are a working week."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.line = office.line
        self.server = office.server

    def complete(self) -> str:
        """Paid and reported, with failures, rejected rows and a row set aside; its vouchers are delivered."""
        self.faults({"fault": "fails", "client_numbers": [FAILS], "code": "S02"})
        rows = "".join(f"GJ-{n:03};{p};0812110000{n:02};Karyawan {n}\n" for n, p in enumerate(_PULSA, 1))
        content = (
            "order_id;product_code;client_number;note:nama\n"
            f"{rows}"
            f"GJ-020;50k-simpati;{FAILS};Karyawan 20\n"
            "GJ-021;voucher-game-50k;081211000021;Karyawan 21\n"
            "GJ-022;50k-simpti;081211000022;Karyawan 22\n"
            "GJ-023;100k-indosat;085611000023;Karyawan 23\n"
            "GJ-024;25k-xl;;Karyawan 24\n"
        )
        batch_id = self.submitted("Pulsa karyawan Oktober.csv", "Gaji Oktober – pulsa", content)
        self.paid(batch_id)
        deliver(
            self.line.store,
            batch_id,
            reason="Dikirim ke HRD",
            provenance=Provenance("user:adam", "plugin:deliver"),
            clock=SystemClock(),
        )
        return batch_id

    def vouchers(self) -> str:
        """Paid; its tokens and vouchers wait for their delivery."""
        tokens = "".join(f"LG-{n},pln-prepaid-token-50k-sat,5211000010{n}\n" for n in range(1, 6))
        cards = "".join(f"GP-{n},kode-voucher-google-100k,08131100000{n}\n" for n in range(1, 3))
        batch_id = self.submitted(
            "Token listrik gudang.csv", "Listrik gudang November", HEADER + tokens + cards
        )
        self.paid(batch_id)
        return batch_id

    def held(self) -> str:
        """Paid but for orders that a person must release: two duplicates and one over a limit."""
        rows = "".join(f"TL-{n},25k-xl,08771100000{n}\n" for n in range(1, 6))
        twice = (
            "TL-6,25k-xl,087711000001\nTL-7,25k-xl,087711000002\nTL-8,pln-prepaid-token-100k,52110000777\n"
        )
        batch_id = self.submitted("Top up tim lapangan.csv", "Tim lapangan minggu 48", HEADER + rows + twice)
        self.paid(batch_id, GuardRules(order_limit_rupiah=100_000))
        return batch_id

    def escalated(self) -> str:
        """Two paid, one that nobody knows about: it is with people."""
        self.faults({"fault": "request_lost", "client_numbers": [LOST], "operations": ["checkout"]})
        rows = f"RB-1,50k-simpati,081200000901\nRB-2,50k-simpati,{LOST}\nRB-3,25k-three,089600000903\n"
        batch_id = self.submitted("Pulsa reseller Bandung.csv", "Reseller Bandung 28/11", HEADER + rows)
        before, self.line.execution = self.line.execution, AT_ONCE
        self.quoted(batch_id)
        with suppress(Exception):
            self.line.execute(batch_id)
        self.line.execution = before
        for seconds in range(3, 90, 3):
            recover(
                self.line,
                ahead=timedelta(seconds=seconds),
                limits=RecoveryLimits(dedup_horizon_seconds=1.0, attempts=1),
            )
            self.finish(batch_id)
            if self.line.batch(batch_id).state.is_final:
                break
            time.sleep(0.2)  # SAT takes its time on a busy machine
        return batch_id

    def withdrawn(self) -> str:
        """Taken back by its maker before anything was sent."""
        rows = "".join(f"VU-{n},kode-voucher-google-100k,08131100010{n}\n" for n in range(1, 5))
        batch_id = self.submitted("Voucher hadiah undian.csv", "Undian akhir tahun", HEADER + rows)
        self.quoted(batch_id)
        by = replace(ROSA, cause="plugin:withdraw")
        withdraw_batch(self.line.handler, batch_id, "Pemenang undian diganti", by)
        self.finish(batch_id)
        return batch_id

    def refused(self) -> str:
        """A file without a column that is needed."""
        batch_id = submit(
            self.line.store,
            self.line.spool,
            SystemClock(),
            account=ACCOUNT,
            reference="Daftar nomor",
            source=BatchSource.FILE,
            file_name="Daftar nomor pelanggan.csv",
            content=b"nomor,nama\n081211000001,Budi\n081211000002,Sari\n",
            provenance=ROSA,
        ).batch_id
        with suppress(Exception):
            self.line.run_of(batch_id).intake()
        self.finish(batch_id)
        return batch_id

    def short_of_funds(self) -> str:
        """Dearer than the deposit: it waits for a top-up."""
        rows = "".join(f"KTA-{n:02},kta-bank-dbs,70012300{n:02}\n" for n in range(1, 13))
        batch_id = self.submitted("Angsuran KTA karyawan.csv", "Angsuran KTA Desember", HEADER + rows)
        self.quoted(batch_id)
        self.line.run_of(batch_id).guard()
        self.line.reserve(batch_id, ShortFundsPolicy.WAIT)
        self.noted(batch_id, RunState.RUNNING)
        return batch_id

    def being_paid(self) -> str:
        """Half of it is paid, some is on its way, some is not sent yet."""
        self.faults({"fault": "stuck_pending", "client_numbers": [STUCK]})
        numbers = [*(f"0812110010{n:02}" for n in range(10)), *(f"0812999900{n:02}" for n in range(6))]
        numbers += [f"0812110020{n:02}" for n in range(8)]
        rows = "".join(f"JB-{n:02},50k-simpati,{number}\n" for n, number in enumerate(numbers, 1))
        batch_id = self.submitted("Pulsa mitra Jawa Barat.csv", "Mitra Jawa Barat November", HEADER + rows)
        self.quoted(batch_id)
        run = self.line.run_of(batch_id)
        run.guard()
        self.line.reserve(batch_id)
        asyncio.run(run.execute(run.plan_chunks(16)[0]))

        async def ask_until_paid() -> None:
            async with run.ports.sat() as sat:
                while (await run.wait(sat)).left > 6:  # noqa: ASYNC110 - the end comes from SAT
                    await asyncio.sleep(0.05)

        asyncio.run(ask_until_paid())
        self.faults()
        self.noted(batch_id, RunState.RUNNING)
        return batch_id

    def stopped(self) -> str:
        """Priced; then its run failed, and nothing goes on by itself."""
        rows = "".join(f"PB-{n},25k-xl,08171199000{n}\n" for n in range(1, 8))
        batch_id = self.submitted("Pulsa petugas banjir.csv", "Petugas banjir 27/11", HEADER + rows)
        self.quoted(batch_id)
        self.noted(batch_id, RunState.FAILED)
        return batch_id

    def noted(self, batch_id: str, state: RunState) -> None:
        """Airflow has a run of the batch, which no thread carries out."""
        from tests.browser.office import CONNECTION

        run_id = f"batch_{batch_id}"
        conf = {"batch_id": batch_id, "account": CONNECTION}
        self.office.runs.started[run_id] = Run(
            BATCH_DAG, run_id, state, datetime.now(UTC), conf, f"/dags/{BATCH_DAG}/runs/{run_id}"
        )

    def planned(self) -> str:
        """It starts tomorrow, unless a person cancels it."""
        starts_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
        rows = "".join(f"AB-{n},25k-three,08961100000{n}\n" for n in range(1, 5))
        batch_id = self.submitted(
            "Pulsa akhir bulan.csv",
            "Akhir bulan November",
            HEADER + rows,
            BatchStartPlanned(starts_at=starts_at),
        )
        self.start(batch_id, at=starts_at)
        return batch_id

    def waiting_for_approval(self) -> str:
        """Its run waits for a second person; answered in the browser, it goes on."""
        from tests.browser.office import CONNECTION, RULES

        adopt_rules(self.line.handler, ACCOUNT, CONNECTION, RULES, BY_TEST)
        rows = "".join(f"TS-{n:02},50k-simpati,0812330000{n:02}\n" for n in range(1, 13))
        tokens = "".join(f"TT-{n},pln-prepaid-token-100k,5211000020{n}\n" for n in range(1, 4))
        batch_id = self.submitted("THR mitra Surabaya.csv", "THR mitra Surabaya", HEADER + rows + tokens)
        self.start(batch_id)
        self.wait_until_asked(batch_id)
        return batch_id

    def wait_until_asked(self, batch_id: str) -> None:
        """Until the run of a batch waits for its approval."""
        for _ in range(200):
            if self.line.batch(batch_id).asked_for is not None:
                return
            time.sleep(0.05)
        raise AssertionError(f"batch {batch_id} does not wait: {self.office.runs.errors}")

    def submitted(self, name: str, reference: str, content: str, *preparations: BatchStartPlanned) -> str:
        """A batch of rosa's."""
        return submit_file(
            self.line.store,
            self.line.spool,
            SystemClock(),
            account=ACCOUNT,
            reference=reference,
            file_name=name,
            content=content.encode(),
            provenance=ROSA,
            preparations=preparations,
        ).submission.batch_id

    def quoted(self, batch_id: str) -> None:
        """Taken in and priced."""
        self.line.take_in(batch_id)
        self.line.quote(batch_id)

    def paid(self, batch_id: str, rules: GuardRules | None = None) -> None:
        """Every step of it."""
        self.quoted(batch_id)
        if rules is not None:
            ledger = PostgresGuardLedger(self.line.store.database)
            guard_batch(self.line.handler, ledger, batch_id, rules, BY_TEST)
        self.line.execute(batch_id)
        self.line.wait(batch_id)
        self.finish(batch_id)

    def finish(self, batch_id: str) -> None:
        """Its result file, where the web application keeps them."""
        ports = replace(self.line.ports, results=self.office.host.results())
        run = self.line.run_of(batch_id)
        run.ports = ports
        run.results()

    def start(self, batch_id: str, *, at: datetime | None = None) -> None:
        """Its run, as rosa starts it."""
        from tests.browser.office import CONNECTION

        conf = {"batch_id": batch_id, "account": CONNECTION}
        self.office.runs.start(BATCH_DAG, f"batch_{batch_id}", conf, at=at, user="rosa")

    def faults(self, *rules: dict[str, object]) -> None:
        """From now on SAT has these faults."""
        self.server.set_faults({"fulfilment": FULFILMENT, "faults": list(rules)})


_PULSA = (
    *["50k-simpati"] * 5,
    *["25k-xl"] * 4,
    *["25k-three"] * 3,
    *["15k-xl"] * 2,
    "pln-prepaid-token-50k-sat",
    "pln-prepaid-token-50k-sat",
    "kode-voucher-google-100k",
)


def _observe_deposits(office: Office) -> None:
    """The deposit of the last month: spent day by day, and topped up."""
    draw = random.Random(11)
    saldo = opening = office.server.saldo_rupiah()
    looks = []
    for days in range(1, DAYS_OF_DEPOSITS + 1):
        at = datetime.now(UTC) - timedelta(days=days)
        looks.append(BalanceObservation(ACCOUNT, saldo, at, at + timedelta(seconds=0.2)))
        saldo += draw.randrange(400_000, 2_600_000)
        if saldo > 1.8 * opening:
            saldo -= opening  # it had been topped up the day after
    with PostgresFunds(office.store.database).locked(ACCOUNT) as funds:
        for look in reversed(looks):
            funds.record(look, is_compared=True)


def _watch_prices(office: Office) -> None:
    """Three price lists of the last weeks: one price rises, one product is new, one is away for a while."""
    today = {
        product.code: ListedProduct(
            product.code, product.name, product.price_rupiah, product.is_inquiry, product.status, "", ""
        )
        for product in office.line.products()
    }
    earlier = {**today, "50k-simpati": today["50k-simpati"]._replace(price_rupiah=50_800)}
    del earlier["pln-prepaid-token-100k"]
    between = {**earlier, "25k-xl": today["25k-xl"]._replace(status=3)}
    history = PriceHistory(office.store.database)
    for days, products in ((20, earlier), (9, between), (1, today)):
        clock = ManualClock(datetime.now(UTC) - timedelta(days=days))
        take_snapshot(ListingSAT(clock, *products.values()), history, clock, ACCOUNT, BY_TEST)
