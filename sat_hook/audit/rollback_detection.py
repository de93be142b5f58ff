"""Detects a rollback: a database that was restored to an older state than was published.

The published checkpoints cover more than such a database holds. Orders that were sent in the lost part look
unsent, and SAT refuses their duplicates only while it remembers them. So the accounts are paused, by an
ordinary event, and nothing is sent until a person has checked.
"""

from __future__ import annotations

from datetime import timedelta

from sat_hook.audit.checkpoints import require_published
from sat_hook.audit.errors import CheckpointForkedError
from sat_hook.audit.publication import PublishedReader
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.account import AccountPaused, AccountResumed, PauseAccount
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.identity import account_id_of
from sat_hook.store.database import Database

REASON = (
    "the database is not the one whose checkpoints were published: restored to an older state, or altered"
)
WORD_OF_A_PERSON = timedelta(hours=24)
"""Grace period after a manual resume before the account is paused again."""


def detect_rollback(database: Database, published: PublishedReader) -> CheckpointForkedError | None:
    """How the database is behind the published checkpoints; None when it is not.

    :raises PublicationError: the place cannot be read.
    :raises StoreUnavailableError: the database gave up.
    """
    try:
        require_published(database, published)
    except CheckpointForkedError as error:
        return error
    return None


def pause_after_rollback(handler: CommandHandler, account: str, provenance: Provenance) -> bool:
    """Pause an account, unless it is paused or a person resumed it from such a pause within a day.

    :returns: whether this call paused it.
    :raises StoreUnavailableError: the database gave up.
    """
    if _is_overruled(handler, account):
        return False
    return handler.apply_to_account(account, PauseAccount(REASON), provenance)[1] is None


def _is_overruled(handler: CommandHandler, account: str) -> bool:
    stream = StreamId(StreamKind.ACCOUNT, account_id_of(account))
    names = (AccountPaused.__name__, AccountResumed.__name__)
    acts = [recorded for recorded in handler.store.read_stream(stream) if recorded.type_name in names]
    if len(acts) < 2 or not isinstance(acts[-1].event, AccountResumed):
        return False
    before = acts[-2].event
    was_for_a_loss = isinstance(before, AccountPaused) and before.reason == REASON
    return was_for_a_loss and handler.clock.now() - acts[-1].occurred_at < WORD_OF_A_PERSON
