"""The script of an evidence pack holds ends against what SAT signed, by rules of its own."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sat_hook.audit.exports import request_export
from sat_hook.audit.pack import PackWriter
from sat_hook.clients.clock import SystemClock
from sat_hook.domain import order_events as happened
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.desk import ASKER
from tests.integration.audit.keeping import Notary
from tests.integration.audit.test_signed_statuses import (
    BAD,
    FINGERPRINT,
    FORGED,
    GOOD,
    OTHER,
    OTHER_PUBLIC,
    PUBLIC,
    SAT,
    Ledger,
    text,
)


@dataclass
class Auditor:
    """Has a pack written, and verifies it with the pack's own script, isolated."""

    ledger: Ledger
    notary: Notary
    folder: Path

    def verdict(self, *options: str, personal: bool = True) -> subprocess.CompletedProcess[str]:
        """What the script says."""
        self.notary.make()
        export = request_export(
            self.ledger.store,
            SystemClock(),
            recorded_from=datetime.now(UTC) - timedelta(hours=1),
            recorded_before=datetime.now(UTC) + timedelta(days=1),
            with_personal_data=personal,
            reason="a dispute" if personal else "",
            provenance=ASKER,
        )
        self.notary.make()
        pack, script, key = (self.folder / name for name in ("pack.zip", "verify.py", "audit.pem"))
        writer = PackWriter(self.ledger.store.database, export, ASKER.actor, self.notary.signer)
        writer.write(pack)
        with zipfile.ZipFile(pack) as opened:
            script.write_bytes(opened.read("verify.py"))
        key.write_bytes(self.notary.signer.public_key_pem())
        command = [sys.executable, "-I", str(script), "--key", str(key), *options, str(pack)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, cwd=self.folder
        )

    def end_in_all_ways(self, cases: dict[str, tuple[type, dict[str, object], dict[str, object]]]) -> None:
        """An order for each case, signed by SAT."""
        for number, (kind, told, members) in enumerate(cases.values(), 1):
            # The cases are written for order 1, whose number they name.
            named = {
                name: str(value).replace("1000-001", f"1000-{number:03d}").replace("**01", f"**{number:02d}")
                if name == "client_number"
                else value
                for name, value in told.items()
            }
            body = text(number, **named)
            self.ledger.end(number, kind, body, SAT.sign(body.encode()), **members)


@pytest.fixture
def auditor(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Auditor]:
    """With SAT's two keys as files."""
    (tmp_path / "sat.pem").write_bytes(PUBLIC)
    (tmp_path / "other.pem").write_bytes(OTHER_PUBLIC)
    with closing(Database(database.writer_dsn)) as opened:
        ledger = Ledger(PostgresEventStore(opened))
        yield Auditor(ledger, Notary(database, tmp_path / "published"), tmp_path)


def test_what_sat_signed_is_proven_by_the_pack(auditor: Auditor) -> None:
    """All ways in which an event rightly rests on a text; without SAT's key, or the texts, it says so."""
    auditor.end_in_all_ways(GOOD)
    signed = auditor.verdict("--sat-key", "sat.pem")
    assert signed.returncode == 0, signed.stdout + signed.stderr
    assert "was signed with a key of SAT's that you gave" in signed.stdout
    assert "SAT's own signatures" not in signed.stdout
    assert "SAT's own signatures" in auditor.verdict().stdout
    assert "SAT's own signatures" in auditor.verdict("--sat-key", "sat.pem", personal=False).stdout


def test_each_end_that_its_text_does_not_say_is_found(auditor: Auditor) -> None:
    """Genuine signatures over something else, and texts that SAT never signed."""
    auditor.end_in_all_ways(BAD)
    found = auditor.verdict("--sat-key", "sat.pem").stdout.splitlines()
    places = {line.partition(":")[0] for line in found if "rests on a signed status" in line}
    unreadable = [line for line in found if "is no status of an order" in line]
    assert (len(places), len(unreadable)) == (len(BAD) - 1, 1)
    assert not [line for line in found if "08121" in line or "0813" in line]


def test_ends_that_sat_never_signed_are_found(auditor: Auditor) -> None:
    """Whatever stands in the place of the signature."""
    for number, sign in enumerate(FORGED.values(), 1):
        body = text(number)
        auditor.ledger.end(number, happened.OrderSucceeded, body, sign(body))
    ran = auditor.verdict("--sat-key", "sat.pem")
    assert ran.stdout.count("none of SAT's keys signed it") == len(FORGED)
    assert ran.returncode == 1


def test_a_withdrawn_key_proves_nothing_alone(auditor: Auditor) -> None:
    """The ends that rest on it are listed; a key or time that makes no sense is refused."""
    for number, signer in ((1, SAT), (2, OTHER)):
        body = text(number)
        auditor.ledger.end(number, happened.OrderSucceeded, body, signer.sign(body.encode()))
    keys = ("--sat-key", "sat.pem", "--sat-key", "other.pem")
    ran = auditor.verdict(*keys, "--withdrawn", f"{FINGERPRINT}=2020-01-01T00:00:00")
    assert ran.returncode == 1
    assert ran.stdout.count(f"rests on key {FINGERPRINT} alone") == 1
    assert auditor.verdict(*keys, "--withdrawn", f"{FINGERPRINT}=2999-01-01").returncode == 0
    for wrong in ("abc=2020-01-01", f"{FINGERPRINT}=yesterday", FINGERPRINT):
        assert auditor.verdict(*keys, "--withdrawn", wrong).returncode == 2
