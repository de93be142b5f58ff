"""Writes an evidence pack: a zip file that can be verified with only itself and a public audit key.

Whole checkpoints are exported, so that each root can be recomputed from the pack's events; this includes a
few events before and after the period. The same export gives the same bytes while the tables beside the log
are unchanged. Rows are streamed, so memory does not grow with the period.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection

from sat_hook.audit.actions import ACTION_COLUMNS, TYPES, TYPES_OF_OTHER_TABLES, ActionKind, action_cells
from sat_hook.audit.checkpoints import is_signed
from sat_hook.audit.cover import NAME as COVER
from sat_hook.audit.cover import LastVerification, last_verification, render_cover
from sat_hook.audit.keys import AuditSigner, AuditVerifier
from sat_hook.domain.checkpoint import CheckpointText
from sat_hook.domain.event_record import RecordedEvent, registered_events, utc_text
from sat_hook.domain.export import Export
from sat_hook.domain.masking import masked_data, masked_words
from sat_hook.domain.rights_seen import RightsSeen
from sat_hook.domain.verifications import LogVerified
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter
from sat_hook.store.checkpoints import CheckpointTable
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.evidence import PACK_TABLES, Evidence
from sat_hook.store.log import events_between
from sat_hook.store.log_archives import archives_in
from sat_hook.store.log_pages import LogPages, LogSlice

FORMAT = "sat-evidence-pack-1"
COMPRESSION_LEVEL = 6
VERIFIER = "pack_verifier.py"
RIGHTS = "rights.jsonl"
SIGNED_TYPES = tuple(
    sorted(
        {name for (name, _), kind in registered_events().items() if "evidence_digest" in kind.model_fields}
    )
)
"""Events that refer to a signed status by its digest."""

ALWAYS_VERIFIABLE = (
    "that the manifest was signed with an audit key that you trust, and every file is the one that it names",
    "that every checkpoint was signed with such a key, and each names the one before it",
    "that the events are exactly those that the checkpoints cover: none changed, removed, inserted or moved",
    "that the versions of every stream follow each other",
    "that the tables show events of the pack as they are, and whatever people did is in one of them",
    "that the signed statuses are those that the events name, and all of them",
    "that the cover says what the manifest says, and names the digest of every other file",
    "that the rights are those that the events of the pack say, and before the first of them what it changed",
    "with a copy of the published checkpoints: that no other one has anything of the period",
)
UNMASKED_VERIFIABLE = (
    "that the text, actor, cause and time of every event are those that its digest was made of",
    "that the bytes of signed statuses and callbacks have their digests",
)
MASKED_VERIFIABLE = (
    'that text, actor, cause and time of every event without "masked": true are those of its digest',
    'of an event with "masked": true: its place, time of recording and original digest; that the shown text '
    "is the original one without customers' data is the exporter's word, under the manifest's signature",
    "a digest does not hide a customer's number from a reader who tries all numbers: treat this pack "
    "as pseudonymous",
)


@dataclass(frozen=True, slots=True)
class PackWritten:
    """What was written."""

    digest: str
    size_bytes: int
    events: int
    first_checkpoint: int | None
    last_checkpoint: int | None


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    sha256: str
    size_bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class _Range:
    """The checkpoints that overlap the period, and the positions that they cover."""

    first_checkpoint: int
    last_checkpoint: int
    first_position: int
    last_position: int
    previous: str


class PackWriter:
    """Writes one pack.

    :param database: as the role sat_writer, because signed texts are read when personal data was requested.
    :param requested_by: the actor who requested the pack.
    :param keys: public audit keys; checkpoints that none of them signed are left out. None: all are included.
    """

    def __init__(
        self,
        database: Database,
        export: Export,
        requested_by: str,
        signer: AuditSigner,
        keys: AuditVerifier | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._export = export
        self._requested_by = requested_by
        self._signer = signer
        self._files: list[_File] = []
        self._masked_events = 0
        self._checkpoint_keys: set[str] = set()
        self._verification: LastVerification | None = None

    def write(self, path: Path) -> PackWritten:
        """Write the pack to ``path``, from one snapshot.

        :raises LogArchivedError: events of the period are in an archive file only.
        :raises StoreUnavailableError: the database gave up.
        :raises OSError: the file cannot be written.
        """
        with (
            self._database.transaction(snapshot=True) as connection,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as pack,
        ):
            covered = self._covered(connection)
            if covered is not None:
                archives_in(connection).require_positions(covered.first_position, covered.last_position)
            self._plain(pack, "README.txt", _read_me(self._export).encode("utf-8"))
            self._plain(pack, "verify.py", (files("sat_hook.audit") / VERIFIER).read_bytes())
            self._lines(pack, "checkpoints.jsonl", self._checkpoints(connection, covered))
            events = self._lines(pack, "events.jsonl", self._events(connection, covered))
            for kind in ActionKind:
                self._actions(pack, kind, connection, covered)
            self._lines(pack, RIGHTS, self._rights(connection, covered))
            for name in PACK_TABLES:
                self._lines(pack, f"{name}.jsonl", self._rows(connection, name, covered))
            self._plain(pack, COVER, self._cover(self._manifest(covered, events.rows)))
            self._seal(pack, self._manifest(covered, events.rows))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return PackWritten(
            digest,
            path.stat().st_size,
            events.rows,
            covered.first_checkpoint if covered else None,
            covered.last_checkpoint if covered else None,
        )

    def _covered(self, connection: Connection) -> _Range | None:
        first: CheckpointText | None = None
        last: CheckpointText | None = None
        stored = CheckpointTable(OneTransaction(connection))
        for kept in stored.of_period(self._export.recorded_from, self._export.recorded_before):
            if self._keys is None or is_signed(kept, self._keys):
                last = kept.text
                first = first or last
        if first is None or last is None:
            return None
        return _Range(first.number, last.number, first.first_position, last.last_position, first.previous)

    def _checkpoints(self, connection: Connection, covered: _Range | None) -> Iterator[dict[str, Any]]:
        if covered is None:
            return
        stored = CheckpointTable(OneTransaction(connection))
        for kept in stored.each(covered.first_checkpoint, covered.last_checkpoint):
            if self._keys is None or is_signed(kept, self._keys):
                self._checkpoint_keys.add(kept.key_id)
                yield asdict(kept)

    def _events(self, connection: Connection, covered: _Range | None) -> Iterator[dict[str, Any]]:
        for recorded in _events_of(connection, covered):
            data, is_masked = self._shown(recorded.data)
            self._masked_events += is_masked
            if recorded.type_name == LogVerified.__name__:
                self._verification = last_verification(recorded)
            yield {
                "position": recorded.position,
                "stream": str(recorded.stream),
                "version": recorded.version,
                "type": recorded.type_name,
                "schema_version": recorded.schema_version,
                "data": data,
                "actor": recorded.provenance.actor,
                "cause": recorded.provenance.cause,
                "occurred_at": utc_text(recorded.occurred_at),
                "recorded_at": utc_text(recorded.recorded_at),
                "digest": recorded.digest,
                **({"masked": True} if is_masked else {}),
            }

    def _rights(self, connection: Connection, covered: _Range | None) -> Iterator[dict[str, Any]]:
        """Who had which right: as it stood before the first event, then after each change that was seen."""
        if covered is None:
            return
        types = (RightsSeen.__name__,)
        earlier = LogPages(OneTransaction(connection)).newest(
            LogSlice(types=types), 1, covered.first_position
        )
        for recorded in chain(earlier, _events_of(connection, covered, types=types)):
            event = recorded.event
            assert isinstance(event, RightsSeen)
            yield {
                "position": recorded.position,
                "version": recorded.version,
                "recorded_at": utc_text(recorded.recorded_at),
                "source": event.source.value,
                "holders": [holder.model_dump() for holder in event.holders],
            }

    def _cover(self, manifest: dict[str, Any]) -> bytes:
        return render_cover(
            manifest,
            checkpoint_keys=sorted(self._checkpoint_keys),
            sealed_by=self._signer.key_id,
            verification=self._verification,
        )

    def _actions(
        self, pack: zipfile.ZipFile, kind: ActionKind, connection: Connection, covered: _Range | None
    ) -> None:
        """One kind of people's acts as a readable table; the events themselves are in events.jsonl."""

        def lines() -> Iterator[bytes]:
            yield _csv_line(ACTION_COLUMNS)
            types, besides = TYPES.get(kind), None if kind in TYPES else TYPES_OF_OTHER_TABLES
            for recorded in _events_of(connection, covered, types=types, people_besides=besides):
                yield _csv_line(action_cells(recorded, self._shown(recorded.data)[0]))

        self._member(pack, f"{kind.value}.csv", lines(), rows_besides=1)

    def _shown(self, data: str) -> tuple[str, bool]:
        return (data, False) if self._export.with_personal_data else masked_data(data)

    def _words(self, text: str) -> str:
        return text if self._export.with_personal_data else masked_words(text)

    def _rows(self, connection: Connection, table: str, covered: _Range | None) -> Iterator[dict[str, Any]]:
        rows = Evidence(connection).table(
            table,
            with_bytes=self._export.with_personal_data,
            # Evidence goes with the events that refer to it, everything else with the period.
            recorded_from=self._export.recorded_from,
            recorded_before=self._export.recorded_before,
            first_position=covered.first_position if covered else 1,
            last_position=covered.last_position if covered else 0,
            types=list(SIGNED_TYPES),
        )
        for row in rows:
            yield {name: utc_text(of) if isinstance(of, datetime) else of for name, of in row.items()}

    def _manifest(self, covered: _Range | None, events: int) -> dict[str, Any]:
        export = self._export
        verifiable = UNMASKED_VERIFIABLE if export.with_personal_data else MASKED_VERIFIABLE
        return {
            "format": FORMAT,
            "export_id": export.export_id,
            "requested_by": self._requested_by,
            "requested_at": utc_text(export.requested_at),
            "recorded_from": utc_text(export.recorded_from),
            "recorded_before": utc_text(export.recorded_before),
            "with_personal_data": export.with_personal_data,
            "reason": self._words(export.reason),
            "covered": None if covered is None else asdict(covered),
            "events": events,
            "masked_events": self._masked_events,
            "can_be_verified": [*ALWAYS_VERIFIABLE, *verifiable],
            "files": [asdict(file) for file in self._files],
        }

    def _seal(self, pack: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
        content = (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode("utf-8")
        seal = {"key_id": self._signer.key_id, "signature": self._signer.sign(content)}
        self._plain(pack, "manifest.json", content)
        self._plain(pack, "manifest.sig.json", (json.dumps(seal) + "\n").encode("ascii"))

    def _lines(self, pack: zipfile.ZipFile, name: str, rows: Iterable[dict[str, Any]]) -> _File:
        encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        return self._member(pack, name, ((encode(row) + "\n").encode("utf-8") for row in rows))

    def _plain(self, pack: zipfile.ZipFile, name: str, content: bytes) -> None:
        self._member(pack, name, (content,), rows_besides=1)

    def _member(
        self, pack: zipfile.ZipFile, name: str, lines: Iterable[bytes], *, rows_besides: int = 0
    ) -> _File:
        digest, size, rows = hashlib.sha256(), 0, -rows_besides
        with _opened(pack, name) as write:
            for line in lines:
                digest.update(line)
                size, rows = size + len(line), rows + 1
                write(line)
        file = _File(name, digest.hexdigest(), size, rows)
        self._files.append(file)
        return file


@contextmanager
def _opened(pack: zipfile.ZipFile, name: str) -> Iterator[Callable[[bytes], object]]:
    """Open a member of the zip whose metadata does not depend on when and where it is written."""
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.create_system, member.external_attr = 3, 0o644 << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    with pack.open(member, "w", force_zip64=True) as file, io.BufferedWriter(_Raw(file), 1 << 16) as buffered:
        yield buffered.write


class _Raw(io.RawIOBase):
    """Passes whole blocks to the zip: compressing line by line is several times slower."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self._file.write(bytes(block))
        return len(block)


def _events_of(
    connection: Connection, covered: _Range | None, **chosen: Sequence[str] | None
) -> Iterator[RecordedEvent]:
    if covered is None:
        return iter(())
    return events_between(connection, covered.first_position - 1, covered.last_position, **chosen)


def _csv_line(cells: Iterable[object]) -> bytes:
    line = io.StringIO(newline="")
    SpreadsheetWriter(line).row(cells)
    return line.getvalue().encode("utf-8")


def _read_me(export: Export) -> str:
    period = f"from {utc_text(export.recorded_from)} until {utc_text(export.recorded_before)}"
    return f"""Evidence of what was recorded {period}.

Verify it, offline, with Python 3.11 or newer and its package "cryptography". The public key must reach you by
another way than this file:

    python verify.py --key audit_public.pem PACK.zip

Read cover.html first, in a browser: who asked for this and why, what is in it, and how far it proves that.
With --published FOLDER (a copy of the place where checkpoints are published) it is compared with that, too.

cover.html             a summary to be read or printed, in Indonesian and English
events.jsonl           the log: whole checkpoints, so a little more than the period
checkpoints.jsonl      signed and chained checkpoints over these events
actions.csv, approvals.csv, overrides.csv, reconciliations.csv, deliveries.csv, exports.csv
                       what people did, and what days were closed with, to be read
rights.jsonl           who had which right when the log of this pack begins, and after each change
callbacks.jsonl        the inbox of callbacks, by digest
signed_statuses.jsonl  SAT's signed statuses, by the digests under which these events name them
deposits.jsonl         looks at the deposit
price_snapshots.jsonl, price_changes.jsonl
                       the history of prices
manifest.json          who asked for this, why, the digest of every file, and what can be verified
"""
