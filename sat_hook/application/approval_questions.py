"""What an approver is asked about a batch, and what the answers come to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sat_hook.application.order_details import OrderRow
from sat_hook.domain.approval_events import ApprovalRefusal
from sat_hook.domain.errors import StepError
from sat_hook.store.approvals import ProductAsked


class Signature(NamedTuple):
    """One of the signatures that a batch needs.

    :param signer: who has given it; None while it is missing.
    :param rights: what its person must have.
    """

    signer: str | None
    rights: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingApproval:
    """A batch that waits for an approval. Rupiah.

    :param maker: the user who submitted it; None when a service did.
    :param terms_digest: names exactly what is asked; an answer repeats it.
    :param held: how many held orders it includes, which an approval releases.
    :param persons: how many people must sign in all.
    :param signers: who has signed.
    :param signatures: those signatures and the missing ones.
    :param refusal: why this person's approval would not count; None when it would.
    :param refusal_text: the same in words.
    """

    batch_id: str
    file_name: str
    reference: str
    account: str
    maker: str | None
    submitted_at: datetime
    asked_at: datetime | None
    orders: int
    total_rupiah: int
    terms_digest: str
    held: int
    persons: int
    signers: tuple[str, ...]
    signatures: tuple[Signature, ...]
    refusal: ApprovalRefusal | None
    refusal_text: str | None


@dataclass(frozen=True, slots=True)
class PriceMove:
    """A product whose listed price is another than when the account's last batch was submitted. Rupiah."""

    product_code: str
    before_rupiah: int | None
    now_rupiah: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MakersMonth:
    """The maker's other batches of the last 30 days. Rupiah.

    :param is_cut: whether there were more than the newest ones that are counted here.
    :param orders: orders with a price; ``total_rupiah`` is the sum of their prices.
    :param paid_rupiah: what SAT charged, of the batches that are complete.
    :param typical_rupiah: the median total of a batch; None without any.
    """

    batches: int
    is_cut: bool
    orders: int
    total_rupiah: int
    paid_rupiah: int
    typical_rupiah: int | None
    typical_orders: int | None
    largest_rupiah: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalQuestion:
    """What an approver is asked, and what helps to answer.

    :param left_out_orders: how many orders an earlier approver left out, for ``left_out_reason``.
    :param largest: the dearest orders.
    :param recipients_looked_at: the orders of which new recipients were looked for: the dearest.
    :param new_recipients: how many of them are for a client number that the account never paid.
    :param new_orders: the dearest of those.
    :param month: None when no user submitted the batch.
    """

    waiting: WaitingApproval
    left_out_orders: int
    left_out_by: str | None
    left_out_reason: str | None
    products: tuple[ProductAsked, ...]
    largest: tuple[OrderRow, ...]
    recipients_looked_at: int
    new_recipients: int
    new_orders: tuple[OrderRow, ...]
    price_moves: tuple[PriceMove, ...]
    month: MakersMonth | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What an approver leaves out: orders by request id, and all orders of some products."""

    request_ids: tuple[str, ...] = ()
    product_codes: tuple[str, ...] = ()


class Cost(NamedTuple):
    """Orders and their prices together, in rupiah."""

    orders: int
    total_rupiah: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer came to.

    :param is_approved: whether the batch is approved; otherwise ``persons_left`` people must sign, too.
    """

    batch_id: str
    is_approved: bool
    persons_left: int


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """An answer, one of several, that could not be given, and why."""

    batch_id: str
    error: StepError
