"""Submission: register bytes as a batch. Only their size and digest are read yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.batch_commands import Submit
from sat_hook.domain.batch_events import BatchSource, BatchSubmitted, Preparation
from sat_hook.domain.decision import RefusalReason
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import batch_id_of, digest_of
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.pipeline.limits import FILE_LIMITS, FileLimits
from sat_hook.presentation.spreadsheet_cells import first_control
from sat_hook.store.event_store import EventStore
from sat_hook.store.spool import Spool


@dataclass(frozen=True, slots=True)
class Submission:
    """The batch of the bytes. ``is_new`` is False when the same bytes were submitted before."""

    batch_id: str
    digest: str
    spool_uri: str
    is_new: bool


def submit(
    store: EventStore,
    spool: Spool,
    clock: Clock,
    *,
    account: str,
    reference: str | None,
    source: BatchSource,
    file_name: str,
    content: bytes,
    provenance: Provenance,
    limits: FileLimits = FILE_LIMITS,
    preparations: tuple[Preparation, ...] = (),
) -> Submission:
    """Spool ``content`` and register it as a batch.

    The batch's key is its account and reference. The reference defaults to the digest, so the same file twice
    is the same batch. To pay a file again, for example every month, give it a new reference.

    :param preparations: how the file was made and when it shall be paid; recorded with a new batch.
    :raises SubmissionRefusedError: empty, too large, a name or reference with control characters, or a
        reference that names other contents.
    """
    name = submitted_name(content, file_name, limits)
    _refuse_control("batch reference", (reference or "").strip())
    if reference is not None and not 0 < len(reference.strip()) <= limits.cell_characters:
        raise SubmissionRefusedError(
            f"batch reference: found {len(reference)} characters; expected 1 to {limits.cell_characters}"
        )
    digest = digest_of(content)
    key = (reference or digest).strip()
    batch_id = batch_id_of(account, key)
    # The name is the digest: the same bytes have the same name, and other bytes can never replace them.
    uri = spool.write(f"batches/{batch_id}/{digest}.csv", content)
    submitted = BatchSubmitted(
        account=account,
        reference=key,
        source=source,
        file_name=name,
        spool_uri=uri,
        digest=digest,
        size_bytes=len(content),
    )
    batch, refusal = CommandHandler(store, clock).apply_to_batch(
        batch_id, Submit(submitted, preparations), provenance
    )
    if refusal is not None and refusal.reason is RefusalReason.ORDER_ID_REUSED:
        raise SubmissionRefusedError(
            f"{name}: batch reference {key!r} already names batch {batch_id} with other contents "
            f"(digest {batch.digest[:12]}…, found {digest[:12]}…); expected the same file or a new reference"
        )
    return Submission(batch_id, digest, batch.spool_uri, is_new=refusal is None)


def submitted_name(content: bytes, file_name: str, limits: FileLimits) -> str:
    """The name that a file is stored under, without folders.

    :raises SubmissionRefusedError: the name has control characters, the file is empty or too large.
    """
    name = PurePosixPath(file_name.replace("\\", "/")).name[: limits.cell_characters] or "orders.csv"
    _refuse_control("file name", name)
    if not content.strip():
        raise SubmissionRefusedError(f"{name}: found an empty file; expected a header and at least one row")
    if len(content) > limits.file_bytes:
        raise SubmissionRefusedError(
            f"{name}: found {len(content):,} bytes; expected at most {limits.file_bytes:,}"
        )
    return name


def _refuse_control(what: str, text: str) -> None:
    if control := first_control(text):
        raise SubmissionRefusedError(
            f"{what} {text[:60]!a}: found {control}; expected a name without control characters"
        )
