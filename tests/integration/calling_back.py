"""Callbacks as the receiver keeps them, without HTTP and with signatures that are not checked."""

from __future__ import annotations

from sat_hook.domain.identity import digest_of
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT
from tests.pipeline import Line
from tests.sql import execute


def call_back(line: Line, database: ApplicationDatabase, batch_id: str) -> None:
    """What the receiver does for each order of the batch, without HTTP."""
    for number, order in enumerate(line.orders(batch_id).values()):
        receive_callback(database.receiver_dsn, order.request_id, b"{}", digest=f"{number:064x}")
    execute(database.receiver_dsn, "SELECT pg_notify(sat.callback_channel('demo'), '')")


def receive_callback(
    dsn: str,
    request_id: str,
    body: bytes,
    *,
    digest: str | None = None,
    signature: str = "s",
    key: str = "key",
    account: str = ACCOUNT,
) -> None:
    """Put a callback into the inbox, as the role in ``dsn``; by default with the digest of its body."""
    execute(
        dsn,
        "SELECT sat.receive_callback(%s, %s, %s, %s, %s, %s, 'application/json', '192.0.2.1')",
        (account, request_id, digest or digest_of(body), body, signature, key),
    )
