"""The faults, one class each. :mod:`sandbox.drawing` draws them.

These classes also document the rules of the fault file, which :mod:`sandbox.scenario` reads.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.calls import API_OPERATIONS, Operation
from sandbox.refusals import PRODUCT_UNAVAILABLE_CODE, PRODUCT_UNAVAILABLE_DETAIL
from sandbox.wire import Manner

Seconds = Annotated[float, Field(ge=0, le=7 * 86_400)]
Rupiah = Annotated[int, Field(ge=0, le=10**12)]
ORDER_OPERATIONS = (Operation.CHECKOUT,)


class Rule(BaseModel):
    """The base of all faults: what it can hit (all selectors must match) and how often.

    ``rate`` is drawn at each occasion of a subject (request id, client number, operation) by seed, rule and
    the occasion's number. ``skip`` skips the first occasions overall, ``times`` limits how often one subject
    is hit, and ``limit`` how often the rule fires in total. Patterns are shell-like (``INV-*``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_operations: ClassVar[tuple[Operation, ...]] = ORDER_OPERATIONS
    can_hit_any: ClassVar[bool] = False

    name: str = ""
    rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    request_ids: tuple[str, ...] = ()
    client_numbers: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()
    from_seconds: Seconds = 0.0
    until_seconds: Seconds | None = None
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _can_hit(self) -> Rule:
        if not self.can_hit_any and not set(self.operations) <= set(self.default_operations):
            raise ValueError(f"operations can only be {', '.join(self.default_operations)} here")
        return self

    @property
    def aims_at(self) -> tuple[Operation, ...]:
        """The operations that this rule can hit."""
        return self.operations or self.default_operations


class RequestLost(Rule):
    """The request never arrives: nothing is accepted, and there is no answer."""

    can_hit_any = True
    fault: Literal["request_lost"]
    manner: Manner = Manner.RESET


class ResponseLost(Rule):
    """The request is processed (a checkout is charged), but its answer is lost."""

    can_hit_any = True
    fault: Literal["response_lost"]
    manner: Manner = Manner.RESET


class Delay(Rule):
    """A delay of the request (``side: request``, before it is processed) or of the reply. ``seconds`` is the
    fixed
    value, the mean (exponential) or the median (lognormal); uniform draws from there to ``to_seconds``."""

    default_operations = API_OPERATIONS
    can_hit_any = True
    fault: Literal["delay"]
    side: Literal["request", "response"] = "response"
    distribution: Literal["fixed", "uniform", "exponential", "lognormal"] = "fixed"
    seconds: Seconds
    to_seconds: Seconds = 0.0
    sigma: Annotated[float, Field(ge=0, le=5)] = 1.0
    cap_seconds: Seconds = 60.0

    @model_validator(mode="after")
    def _ordered(self) -> Delay:
        if self.distribution == "uniform" and self.to_seconds < self.seconds:
            raise ValueError("to_seconds must not be less than seconds")
        return self


class Error(Rule):
    """An error status before the request is processed, or after it (a checkout is charged by then).
    ``body: sat`` is an S00 in SAT's form; ``html`` is the page of a proxy or firewall (protocol 8)."""

    default_operations = API_OPERATIONS
    can_hit_any = True
    fault: Literal["error"]
    when: Literal["before", "after"] = "before"
    status: Annotated[int, Field(ge=400, le=599)] = 500
    body: Literal["sat", "html", "json", "empty"] = "sat"


class Unauthorized(Rule):
    """A 401 for a valid token. ``revoke`` also revokes every issued token."""

    default_operations = API_OPERATIONS
    can_hit_any = True
    fault: Literal["unauthorized"]
    revoke: bool = False


class TokenExpiry(Rule):
    """A token with this lifetime."""

    default_operations = (Operation.TOKEN,)
    fault: Literal["token_expiry"]
    lifetime_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 1


class GarbledReply(Rule):
    """The request is processed, but its answer is garbled: a 200 that is truncated, without data, with
    another id, with the right id but another product or client number, with an unknown status or without
    JSON; or a 202 or a
    redirect. A status is signed as garbled."""

    default_operations = API_OPERATIONS
    can_hit_any = True
    fault: Literal["garbled_reply"]
    manner: Literal[
        "truncated",
        "no_data",
        "other_id",
        "other_product",
        "other_number",
        "unknown_status",
        "not_json",
        "accepted_202",
        "redirect",
    ]


class OtherTypes(Rule):
    """Numbers and flags in another JSON type, or invalid amounts, signed as they are. Applies to callbacks as
    well when the rule hits checkouts.

    ``text``: numbers as text, flags as 0 and 1. ``unreadable``: amounts with thousand marks. ``negative`` and
    ``absurd``: amounts below zero and absurdly large. ``listed`` are patterns of the affected products in a
    list of
    products."""

    default_operations = API_OPERATIONS
    can_hit_any = True
    fault: Literal["other_types"]
    manner: Literal["text", "unreadable", "negative", "absurd"] = "text"
    listed: tuple[str, ...] = ("*",)


class BadSignature(Rule):
    """A status with an invalid signature: by an unknown key, over other bytes, garbage, or missing."""

    default_operations = (Operation.STATUS,)
    fault: Literal["bad_signature"]
    manner: Literal["stranger", "other_body", "garbage", "missing"] = "stranger"


class StaleFailure(Rule):
    """The status of a succeeded order is a signed Failed, as from a server with stale data."""

    default_operations = (Operation.STATUS,)
    fault: Literal["stale_failure"]
    code: str = PRODUCT_UNAVAILABLE_CODE
    detail: str = PRODUCT_UNAVAILABLE_DETAIL
    times: Annotated[int, Field(ge=1)] | None = 1


class LateArrival(Rule):
    """A checkout that arrives only after a P02 was answered for it, after a resend, or after some seconds.
    The
    sender sees a loss. With ``until: resend`` it arrives right after the resend was processed."""

    fault: Literal["late_arrival"]
    until: Literal["p02", "resend", "seconds"] = "p02"
    seconds: Seconds = 1.0
    manner: Manner = Manner.RESET
    times: Annotated[int, Field(ge=1)] | None = 1


class P03ForLost(Rule):
    """The request is lost but its id is remembered: every later send is answered P03, every status P02.
    ``first_send`` sets what the sender of the lost request sees."""

    fault: Literal["p03_for_lost"]
    first_send: Literal["p03", "reset", "silence"] = "p03"


class P02ThoughCharged(Rule):
    """A status query for a charged order is answered P02, for this long after its acceptance."""

    default_operations = (Operation.STATUS,)
    fault: Literal["p02_though_charged"]
    for_seconds: Seconds | None = None


class RejectResend(Rule):
    """A resend of an accepted order is answered with a rejection instead of P03."""

    fault: Literal["reject_resend"]
    code: str = "P04"
    detail: str = "Product not found"
    status: Annotated[int, Field(ge=400, le=599)] = 400


class ForgottenId(Rule):
    """A resend whose id was forgotten, as beyond the dedup horizon: a new order that is charged again."""

    fault: Literal["forgotten_id"]


class StuckPending(Rule):
    """The order never leaves Pending."""

    fault: Literal["stuck_pending"]


class Fails(Rule):
    """The order ends Failed, ``after_seconds`` after acceptance (default: when it would have succeeded)."""

    fault: Literal["fails"]
    after_seconds: Seconds | None = None
    code: str = PRODUCT_UNAVAILABLE_CODE
    detail: str = PRODUCT_UNAVAILABLE_DETAIL


class SuccessThenReversed(Rule):
    """Success, and ``after_seconds`` later Failed with a refund."""

    fault: Literal["success_then_reversed"]
    after_seconds: Seconds = 2.0
    code: str = PRODUCT_UNAVAILABLE_CODE
    detail: str = PRODUCT_UNAVAILABLE_DETAIL


class FailedThenSuccess(Rule):
    """Failed with a refund, and ``after_seconds`` later Success: the refund is taken back."""

    fault: Literal["failed_then_success"]
    after_seconds: Seconds = 2.0
    code: str = PRODUCT_UNAVAILABLE_CODE
    detail: str = PRODUCT_UNAVAILABLE_DETAIL


class DelayedRefund(Rule):
    """A Failed order's refund comes only ``after_seconds`` later."""

    fault: Literal["delayed_refund"]
    after_seconds: Seconds = 5.0


class CallbackDropped(Rule):
    """The callback is never sent."""

    fault: Literal["callback_dropped"]


class CallbackDuplicated(Rule):
    """The callback is sent ``copies`` more times, ``gap_seconds`` apart."""

    fault: Literal["callback_duplicated"]
    copies: Annotated[int, Field(ge=1, le=20)] = 1
    gap_seconds: Seconds = 0.0


class CallbackMisdirected(Rule):
    """The callback has the order's id and SAT's signature, but another product or client number."""

    fault: Literal["callback_misdirected"]
    manner: Literal["other_product", "other_number"] = "other_number"


class CallbackDelayed(Rule):
    """The callback is sent between ``seconds`` and ``to_seconds`` late."""

    fault: Literal["callback_delayed"]
    seconds: Seconds = 5.0
    to_seconds: Seconds | None = None


class CallbackReordered(Rule):
    """The callback waits until a later callback has been sent, at most ``hold_seconds``."""

    fault: Literal["callback_reordered"]
    hold_seconds: Seconds = 5.0


class CallbackForged(Rule):
    """A forged callback with ``status``, plus the genuine one unless ``genuine`` is false. ``stranger`` is
    signed by
    an untrusted key, ``unsigned`` has no signature, ``tampered`` has the genuine one over other bytes."""

    fault: Literal["callback_forged"]
    manner: Literal["stranger", "unsigned", "tampered"] = "stranger"
    status: str = "Success"
    genuine: bool = True


class CallbackBeforeResponse(Rule):
    """The order ends at once, and its callback is answered before the checkout's reply is sent."""

    fault: Literal["callback_before_response"]


class PriceChange(Rule):
    """The price (or this number's bill) changes after it was quoted, or just before the checkout is charged.
    Bills belong to inquiry products; ``at_checkout`` sets the result of an outdated amount. The change is
    permanent;
    ``times`` (once) limits it per product or bill."""

    default_operations = (Operation.CHECKOUT, Operation.INQUIRY, Operation.PRODUCTS)
    fault: Literal["price_change"]
    moment: Literal["quote", "checkout"] = "checkout"
    change_rupiah: int = 0
    change_percent: float = 0.0
    at_checkout: Literal["charge_sent", "charge_changed", "refuse"] = "charge_sent"
    times: Annotated[int, Field(ge=1)] | None = 1

    @model_validator(mode="after")
    def _changes(self) -> PriceChange:
        if not self.change_rupiah and not self.change_percent:
            raise ValueError("change_rupiah or change_percent is needed")
        return self


class ProductInactive(Rule):
    """The product becomes inactive after it was quoted, or just before the checkout, and stays inactive."""

    default_operations = (Operation.CHECKOUT, Operation.INQUIRY, Operation.PRODUCTS)
    fault: Literal["product_inactive"]
    moment: Literal["quote", "checkout"] = "checkout"
    status: Literal[2, 3] = 2
    times: Annotated[int, Field(ge=1)] | None = 1


class DepositRunsOut(Rule):
    """Just before the checkout another party spends the deposit down to ``leaving_rupiah``."""

    fault: Literal["deposit_runs_out"]
    leaving_rupiah: Rupiah = 0
    limit: Annotated[int, Field(ge=1)] | None = 1


class ForeignSpend(Rule):
    """Just before the checkout another party spends from the same deposit."""

    fault: Literal["foreign_spend"]
    rupiah: Rupiah = 10_000
    to_rupiah: Rupiah | None = None


class StaleSaldo(Rule):
    """The account shows the saldo from ``lag_seconds`` ago."""

    default_operations = (Operation.ACCOUNT,)
    fault: Literal["stale_saldo"]
    lag_seconds: Seconds = 10.0


AnyRule = Annotated[
    RequestLost
    | ResponseLost
    | Delay
    | Error
    | Unauthorized
    | TokenExpiry
    | GarbledReply
    | OtherTypes
    | BadSignature
    | StaleFailure
    | LateArrival
    | P03ForLost
    | P02ThoughCharged
    | RejectResend
    | ForgottenId
    | StuckPending
    | Fails
    | SuccessThenReversed
    | FailedThenSuccess
    | DelayedRefund
    | CallbackDropped
    | CallbackDuplicated
    | CallbackMisdirected
    | CallbackDelayed
    | CallbackReordered
    | CallbackForged
    | CallbackBeforeResponse
    | PriceChange
    | ProductInactive
    | DepositRunsOut
    | ForeignSpend
    | StaleSaldo,
    Field(discriminator="fault"),
]
