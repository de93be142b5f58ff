"""Derived identities, so that a restore or a re-run can never create a second one.

An order's request id is a function of the account and the order's own reference. A database restored from
yesterday's backup derives the same id again, and SAT refuses the duplicate (law 2, protocol section 8, P03).
Ids use at most 32 characters of ``[A-Z2-7]``, because it is unknown what SAT accepts beyond that
(protocol section 5.5).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from pydantic_core import to_json

REQUEST_ID_LENGTH = 32
BATCH_ID_LENGTH = 26
BREAK_ID_LENGTH = 16
_ENCODED_BYTES = 20


def request_id_of(account: str, order_id: str) -> str:
    """The only request id that this order ever has at SAT: ``S`` and 31 base32 characters (155 bits)."""
    return _derive("S", REQUEST_ID_LENGTH, "sat-order", account, order_id)


def batch_id_of(account: str, batch_reference: str) -> str:
    """The id of a batch: ``B`` and 25 base32 characters. The same reference gives the same batch."""
    return _derive("B", BATCH_ID_LENGTH, "sat-batch", account, batch_reference)


def account_id_of(account: str) -> str:
    """The id of an account's stream: ``A`` and 25 base32 characters."""
    return _derive("A", BATCH_ID_LENGTH, "sat-account", account)


def break_id_of(account: str, match: str, rule: str, subject: str) -> str:
    """The id of a break: ``K`` and 15 base32 characters. The same difference has the same id every day."""
    return _derive("K", BREAK_ID_LENGTH, "sat-break", account, match, rule, subject)


def upload_id_of(user: str, digest: str, moment: str) -> str:
    """The id of an uploaded settlement file: ``U`` and 25 base32 characters."""
    return _derive("U", BATCH_ID_LENGTH, "sat-upload", user, digest, moment)


def export_id_of(user: str, period: str, moment: str) -> str:
    """The id of an export: ``X`` and 25 base32 characters. Each request has its own id."""
    return _derive("X", BATCH_ID_LENGTH, "sat-export", user, period, moment)


def user_id_of(user: str) -> str:
    """The id of a user's stream: ``U`` and 25 base32 characters."""
    return _derive("U", BATCH_ID_LENGTH, "sat-user", user)


def log_id() -> str:
    """The id of the stream about the log itself: ``L`` and 25 base32 characters."""
    return _derive("L", BATCH_ID_LENGTH, "sat-log")


def rights_id() -> str:
    """The id of the stream about the holders of rights: ``R`` and 25 base32 characters."""
    return _derive("R", BATCH_ID_LENGTH, "sat-rights")


def webhooks_id() -> str:
    """The id of the stream about webhooks: ``W`` and 25 base32 characters."""
    return _derive("W", BATCH_ID_LENGTH, "sat-webhooks")


def webhook_message_id(webhook: str, subject: str) -> str:
    """The id of a webhook's message: ``M`` and 25 base32 characters. The same subject has the same id."""
    return _derive("M", BATCH_ID_LENGTH, "sat-webhook-message", webhook, subject)


def draft_id_of(user: str, digest: str, moment: str) -> str:
    """The id of a draft: ``D`` and 25 base32 characters. Each upload has its own id."""
    return _derive("D", BATCH_ID_LENGTH, "sat-draft", user, digest, moment)


def decision_id_of(user: str, digest: str, moment: str) -> str:
    """The id of a decision about many orders: ``L`` and 25 base32 characters."""
    return _derive("L", BATCH_ID_LENGTH, "sat-decision", user, digest, moment)


def payload_digest(
    product_code: str,
    client_number: str,
    amount_rupiah: int | None,
    max_rupiah: int | None,
    downline_id: str | None,
    fields: Iterable[tuple[str, str]],
) -> str:
    """SHA-256 (hex) of what was ordered. Distinguishes a repeat from another order under the same id."""
    pairs = [[name, value] for name, value in fields]
    parts = [product_code, client_number, amount_rupiah, max_rupiah, downline_id, pairs]
    # Compact JSON in UTF-8, which every language's writer gives alike for these values.
    return hashlib.sha256(to_json(parts)).hexdigest()


def digest_of(content: bytes) -> str:
    """SHA-256 (hex) of bytes."""
    return hashlib.sha256(content).hexdigest()


def _derive(prefix: str, length: int, *parts: str) -> str:
    # A JSON array, not a join: ("a", "b-c") and ("a-b", "c") must differ.
    digest = hashlib.sha256(to_json(parts)).digest()
    # Each 5 bytes give 8 characters, whatever follows them.
    return prefix + base64.b32encode(digest[:_ENCODED_BYTES]).decode("ascii")[: length - len(prefix)]
