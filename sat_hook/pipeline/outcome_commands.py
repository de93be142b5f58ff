"""Turn outcomes of calls to SAT into commands for orders."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import (
    RecordNotFound,
    RecordReply,
    RecordStatus,
    ReplyVerdict,
    UnreadableAmount,
)
from sat_hook.domain.printable import printable
from sat_hook.protocol.outcomes import CheckoutOutcome, StatusOutcome, StatusVerdict
from sat_hook.store.event_store import StatusEvidence

MAXIMUM_TEXT_CHARACTERS = 500


def reply_of(outcome: CheckoutOutcome, attempt: int) -> RecordReply:
    """The command that records a checkout's outcome."""
    return RecordReply(
        attempt=attempt,
        verdict=ReplyVerdict(outcome.verdict.value),
        reason=str(outcome.reason),
        code=_clean(outcome.code),
        detail=_clean(outcome.detail),
        http_status=outcome.http_status,
        reported_status=_clean(outcome.reported_status),
        sales_price_rupiah=outcome.sales_price_rupiah,
        partner_fee_rupiah=outcome.partner_fee_rupiah,
        response_digest=outcome.response_digest,
        unreadable_amounts=_unreadable(outcome.unreadable_amounts),
        product_code=outcome.product_code,
        client_number=outcome.client_number,
    )


def status_command(
    request_id: str, outcome: StatusOutcome, asked_at: datetime, before: Order | None = None
) -> OrderCommandRequest | None:
    """The command for a status answer; None when the answer proves nothing.

    :param before: the order as it was read before the query. Events recorded since may be newer than the
        answer.
    """
    if outcome.verdict is StatusVerdict.NOT_FOUND:
        return OrderCommandRequest(request_id, RecordNotFound(asked_at))
    if outcome.verdict is not StatusVerdict.SIGNED:
        return None
    detail = outcome.detail
    assert detail is not None
    assert outcome.response_digest is not None
    command = RecordStatus(
        status=_clean(detail.status) or "",
        observed_at=asked_at,
        evidence_digest=outcome.response_digest,
        error_code=_clean(detail.error_code) or "",
        error_detail=_clean(detail.error_detail) or "",
        sales_price_rupiah=detail.sales_price_rupiah,
        admin_fee_rupiah=detail.admin_fee_rupiah,
        partner_fee_rupiah=detail.partner_fee_rupiah,
        fulfilled_at=detail.fulfilled_at,
        unreadable_amounts=_unreadable(detail.unreadable_amounts),
        product_code=detail.product_code,
        client_number=detail.client_number,
        asked_at_version=before.version if before is not None else None,
    )
    proof = StatusEvidence(
        digest=outcome.response_digest,
        request_id=request_id,
        body=outcome.evidence_body or "",
        signature=outcome.signature or "",
        key_fingerprint=outcome.key_fingerprint or "",
        observed_at=asked_at,
    )
    return OrderCommandRequest(request_id, command, (proof,))


def _unreadable(amounts: Iterable[tuple[str, str]]) -> tuple[UnreadableAmount, ...]:
    return tuple(UnreadableAmount(member, _clean(found) or "nothing") for member, found in amounts)


def _clean(text: str | None) -> str | None:
    """SAT's text as one printable line: PostgreSQL's jsonb refuses NUL, and people cannot read the rest."""
    return None if text is None else printable(text, MAXIMUM_TEXT_CHARACTERS)
