"""Submit a file. A file that cannot become a batch is refused before anything is stored."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.domain.batch_events import BatchSource, OrderFileMended, Preparation
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import account_id_of, batch_id_of, digest_of
from sat_hook.domain.masking import masked_words
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.errors import AccountPausedError, OrderFileError, SubmissionRefusedError
from sat_hook.pipeline.intake import FileFindings, check_whole
from sat_hook.pipeline.limits import FILE_LIMITS, BadRowsPolicy, FileLimits
from sat_hook.pipeline.order_file import OrderFile
from sat_hook.pipeline.sheet_reading import order_file_of
from sat_hook.pipeline.submission import Submission, submit, submitted_name
from sat_hook.store.event_store import EventStore
from sat_hook.store.spool import Spool


@dataclass(frozen=True, slots=True)
class FileSubmission:
    """A batch and the findings in its file.

    :param findings: None for a file that an earlier release accepted and this one would refuse.
    """

    submission: Submission
    findings: FileFindings | None


def submit_file(
    store: EventStore,
    spool: Spool,
    clock: Clock,
    *,
    account: str,
    reference: str | None,
    file_name: str,
    content: bytes,
    provenance: Provenance,
    on_bad_rows: BadRowsPolicy = BadRowsPolicy.PROCEED,
    limits: FileLimits = FILE_LIMITS,
    preparations: tuple[Preparation, ...] = (),
) -> FileSubmission:
    """Read the file, spool it and register it as a batch. A file that was submitted before changes nothing.

    A workbook becomes the order file that it shows; that file is spooled.

    :param on_bad_rows: ``refuse`` refuses a file with bad rows here.
    :raises SubmissionRefusedError: the file cannot become a batch; the text has all the reasons.
    :raises AccountPausedError: the account is paused, so none of the batch would be sent.
    """
    content, mended = order_file(content, file_name, limits)
    preparations = (*([mended] if mended else []), *preparations)
    known = store.load_batch(batch_id_of(account, (reference or digest_of(content)).strip()))
    findings: FileFindings | None
    if known is None:
        refuse_while_paused(store, account)
        findings = find_in(content, file_name, on_bad_rows, limits)
    else:
        findings = _found_before(content, file_name, limits)
    submission = submit(
        store,
        spool,
        clock,
        account=account,
        reference=reference,
        source=BatchSource.FILE,
        file_name=file_name,
        content=content,
        provenance=provenance,
        limits=limits,
        preparations=preparations,
    )
    return FileSubmission(submission, findings)


def order_file(content: bytes, file_name: str, limits: FileLimits) -> tuple[bytes, OrderFileMended | None]:
    """The order file in an upload: a CSV file itself, a workbook as what it shows and a record of that.

    :raises SubmissionRefusedError: a workbook cannot be read, or its columns must be mapped by hand.
    """
    name = submitted_name(content, file_name, limits)
    try:
        made, sheet = order_file_of(content, name, limits)
    except OrderFileError as error:
        raise SubmissionRefusedError(str(error)) from None
    if sheet is None:
        return content, None
    return made, OrderFileMended(
        upload_name=name,
        upload_format=sheet.facts.format.value,
        upload_digest=digest_of(content),
        upload_bytes=len(content),
        columns=(),
        cell_changes=(),
        left_out="",
    )


def find_in(content: bytes, file_name: str, on_bad_rows: BadRowsPolicy, limits: FileLimits) -> FileFindings:
    """The findings in a file.

    :raises SubmissionRefusedError: it cannot become a batch.
    """
    name = submitted_name(content, file_name, limits)
    try:
        return check_whole(OrderFile(content, name, limits), on_bad_rows)
    except OrderFileError as error:
        raise SubmissionRefusedError(str(error)) from None


def _found_before(content: bytes, file_name: str, limits: FileLimits) -> FileFindings | None:
    try:
        return find_in(content, file_name, BadRowsPolicy.PROCEED, limits)
    except SubmissionRefusedError:
        return None


def refuse_while_paused(store: EventStore, account: str) -> None:
    """:raises AccountPausedError: when a person paused the account."""
    standing = store.load_account(account_id_of(account))
    if standing is not None and standing.is_paused:
        raise AccountPausedError(
            f"account {account!r} is paused, so nothing is taken in: "
            f"{masked_words(standing.pause_reason or '')}; submit the file again once the account is resumed"
        )
