"""Requests evidence packs, has them written, verifies them as an auditor, and alters them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2

from sat_hook.audit.exports import request_export, requested_by
from sat_hook.audit.keys import AuditSigner
from sat_hook.audit.pack import PackWriter, PackWritten
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.export import Export
from sat_hook.domain.identity import request_id_of
from sat_hook.pipeline.overrides import pause_account
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import PROOF, fill
from tests.integration.audit.keeping import Notary
from tests.integration.calling_back import receive_callback
from tests.orders import ACCOUNT, ManualClock

#: Runs a script with so many bytes of memory: limit, script, its arguments.
LIMITED = """
import resource, runpy, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ASKER = Provenance("user:alice", "plugin:export")
Change = Callable[[bytes], bytes | None]


@dataclass
class Desk:
    """A filled database, its notary, and a user who requests packs."""

    notary: Notary
    store: PostgresEventStore
    folder: Path

    @property
    def public_key(self) -> Path:
        """What the auditor was given."""
        path = self.folder / "audit_public.pem"
        path.write_bytes(self.notary.signer.public_key_pem())
        return path

    def ask(self, *, personal: bool = False, reason: str = "") -> Export:
        """Ask for everything that there is."""
        return request_export(
            self.store,
            self.notary.clock,
            recorded_from=datetime.now(UTC) - timedelta(hours=1),
            recorded_before=datetime.now(UTC) + timedelta(days=1),
            with_personal_data=personal,
            reason=reason,
            provenance=ASKER,
        )

    def write(self, export: Export, name: str = "pack.zip") -> tuple[Path, PackWritten]:
        """Write its pack."""
        self.notary.make()
        path = self.folder / name
        asker = requested_by(self.store, export.export_id)
        return path, PackWriter(self.store.database, export, asker, self.notary.signer).write(path)

    def verify(
        self, pack: Path, *options: str, memory_bytes: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What an auditor does: the pack's own script, isolated, in an empty folder.

        :param memory_bytes: the script gets no more than this.
        """

        script = self.folder / "verify.py"
        with zipfile.ZipFile(pack) as opened:
            script.write_bytes(opened.read("verify.py"))
        limited = () if memory_bytes is None else ("-c", LIMITED, str(memory_bytes))
        return subprocess.run(
            [sys.executable, "-I", *limited, str(script), "--key", str(self.public_key), *options, str(pack)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
        )


def beside_the_log(database: ApplicationDatabase) -> None:
    """A look at the deposit, and a price list with one product."""
    with closing(psycopg2.connect(database.writer_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sat.balance_observations"
            " (account, saldo_rupiah, requested_at, received_at, is_compared)"
            " VALUES ('demo', 100, now(), now(), true)"
        )
        cursor.execute(
            "INSERT INTO sat.products (account, product_code, first_seen_at) VALUES ('demo', '25k-xl', now())"
        )
        cursor.execute(
            "INSERT INTO sat.price_snapshots (account, outcome, asked_at, ended_at, changes, state_digest,"
            " missing_limit_percent, actor, cause)"
            " VALUES ('demo', 'complete', now(), now(), 1, repeat('0', 64), 10, 'service:a', 'task')"
        )
        cursor.execute(
            "INSERT INTO sat.price_changes SELECT snapshot_id, product_id, 'appeared', 'XL 25', 26000, false,"
            " 1, 'XL', 'Pulsa' FROM sat.products, sat.price_snapshots"
        )
        connection.commit()


@contextmanager
def desk_of(database: ApplicationDatabase, folder: Path) -> Iterator[Desk]:
    """Orders with evidence, a callback, a pause by bob."""
    fill(database)
    receive_callback(database.receiver_dsn, request_id_of(ACCOUNT, "order-1"), PROOF.body.encode())
    notary = Notary(database, folder / "published")
    store = PostgresEventStore(Database(database.writer_dsn))
    by_bob = Provenance("user:bob", "plugin:pause")
    pause_account(CommandHandler(store, notary.clock), ACCOUNT, "number 081211311111 complained", by_bob)
    notary.clock = ManualClock(datetime.now(UTC))
    with closing(store.database):
        yield Desk(notary, store, folder)


def lines_of(pack: Path, name: str) -> list[dict[str, Any]]:
    """The objects in a file of the pack."""
    with zipfile.ZipFile(pack) as opened:
        return [json.loads(line) for line in opened.read(name).splitlines()]


def rewritten(pack: Path, name: str, change: Change, signer: AuditSigner | None = None) -> Path:
    """The pack with one file changed, or left out; with a ``signer``, under a manifest that fits it."""
    target = pack.with_name("altered.zip")
    with zipfile.ZipFile(pack) as old:
        contents = {entry.filename: old.read(entry) for entry in old.infolist()}
    changed = change(contents.pop(name))
    if changed is not None:
        contents[name] = changed
    if signer is not None:
        manifest = json.loads(contents["manifest.json"])
        manifest["files"] = [
            {
                **file,
                "sha256": hashlib.sha256(contents[file["name"]]).hexdigest(),
                "size_bytes": len(contents[file["name"]]),
            }
            for file in manifest["files"]
            if file["name"] in contents
        ]
        contents["manifest.json"] = json.dumps(manifest).encode()
        seal = {"key_id": signer.key_id, "signature": signer.sign(contents["manifest.json"])}
        contents["manifest.sig.json"] = json.dumps(seal).encode()
    with zipfile.ZipFile(target, "w") as new:
        for member, content in contents.items():
            new.writestr(member, content)
    return target
