"""What must happen in the seeds of a test run; otherwise the simulation proves less than it says.

Names are those of the counters that ``make simulate`` prints. If a name no longer appears, the weather, the
line or the product has changed: find out which before you remove it from this list.
"""

from __future__ import annotations

import sandbox.faults
from sandbox.faults import Rule

# A SAT that forgets an id before its horizon has passed breaks an assumption that every client relies on. The
# horizon itself is simulated: a request sent again after it is charged again.
NEVER_DRAWN = frozenset({"forgotten_id"})


def kinds_of_fault() -> set[str]:
    """Return every kind of fault that the local SAT server can produce."""
    rules = [kind for kind in vars(sandbox.faults).values() if isinstance(kind, type)]
    names = {
        kind.model_fields["fault"].annotation
        for kind in rules
        if issubclass(kind, Rule) and "fault" in kind.model_fields
    }
    return {literal.__args__[0] for literal in names}  # type: ignore[union-attr]


def _words(text: str) -> list[str]:
    return text.split()


FAULTS = _words(
    """
bad_signature:garbage bad_signature:missing bad_signature:other_body bad_signature:stranger
callback_before_response callback_delayed callback_dropped callback_duplicated callback_reordered
callback_misdirected:other_number callback_misdirected:other_product
callback_forged:stranger:Failed callback_forged:stranger:Success callback_forged:tampered:Failed
callback_forged:tampered:Success callback_forged:unsigned:Failed callback_forged:unsigned:Success
delay:request delay:response delayed_refund deposit_runs_out
error:after:403 error:after:429 error:after:500 error:after:502 error:after:503 error:after:504
error:before:403 error:before:408 error:before:429 error:before:500 error:before:502 error:before:503
error:before:504
failed_then_success fails foreign_spend
garbled_reply:accepted_202 garbled_reply:no_data garbled_reply:not_json garbled_reply:other_id
garbled_reply:other_number garbled_reply:other_product
garbled_reply:redirect garbled_reply:truncated garbled_reply:unknown_status
late_arrival:p02 late_arrival:resend late_arrival:seconds p02_though_charged
other_types:absurd other_types:negative other_types:text other_types:unreadable
p03_for_lost:p03 p03_for_lost:reset p03_for_lost:silence
price_change:checkout price_change:quote
product_inactive:checkout:2 product_inactive:checkout:3 product_inactive:quote:2 product_inactive:quote:3
request_lost request_lost:reset request_lost:silence response_lost:reset response_lost:silence
stale_failure stale_saldo stuck_pending success_then_reversed token_expiry unauthorized
"""
)

TRANSITIONS = """
escalated -FailedByOperator-> failed
escalated -ResendAllowedByOperator-> unknown
escalated -SucceededByOperator-> succeeded
failed -OrderSucceeded-> succeeded
held -OrderCancelled-> cancelled
held -OrderReleased-> quoted
held -OrderWithdrawn-> cancelled
nothing -OrderReceived-> received
pending -AmountUnknown-> pending
pending -ChargedAboveQuote-> pending
pending -OrderEscalated-> escalated
pending -OrderFailed-> failed
pending -OrderPending-> pending
pending -OrderSucceeded-> succeeded
pending -StatusNotFound-> pending
quoted -CheckoutRequested-> submitting
quoted -OrderAdmitted-> quoted
quoted -OrderApproved-> quoted
quoted -OrderHeld-> held
quoted -OrderQuoted-> quoted
quoted -OrderRejected-> rejected
quoted -OrderWithdrawn-> cancelled
quoted -ReservationRenewed-> quoted
received -OrderQuoted-> quoted
received -OrderRejected-> rejected
received -OrderValidated-> received
received -OrderWithdrawn-> cancelled
pending -StatusMismatched-> unknown
reversed -OrderSucceeded-> succeeded
reversed -ReversalDoubted-> reversed
submitting -CheckoutAccepted-> pending
submitting -CheckoutNotSent-> quoted
submitting -CheckoutNotSent-> unknown
submitting -CheckoutRejected-> failed
submitting -CheckoutUnknown-> unknown
submitting -OrderFailed-> failed
submitting -OrderPending-> pending
submitting -OrderSucceeded-> succeeded
submitting -StatusNotFound-> unknown
failed -AmountUnknown-> failed
succeeded -AmountUnknown-> succeeded
succeeded -ChargedAboveQuote-> succeeded
succeeded -OrderReversed-> reversed
unknown -CheckoutRequested-> submitting
unknown -OrderEscalated-> escalated
unknown -OrderFailed-> failed
unknown -OrderPending-> pending
unknown -OrderSucceeded-> succeeded
unknown -StatusNotFound-> unknown
""".strip().splitlines()

EVENTS_ELSEWHERE = _words(
    """
AccountPaused AccountResumed ApprovalRefused ApprovalRejected ApprovalRequested ApprovalSigned BalanceChecked
BatchApproved OrdersLeftOut
BatchCompleted BatchGuarded BatchQuoted BatchReceived BatchRefused BatchReopened BatchResultsWritten
BatchRunStarted BatchSubmitted BatchValidated BatchWithdrawn ForeignSpendSuspected FundsReserved RowsTakenIn
TopUpSeen
"""
)

CODES = _words("P02 P03 P04 P90 P94 P98 S00 S02")

REASONS = """
accepted Pending
accepted Processing
not sent connect_timeout
not sent connection_refused
not sent dns
not sent proxy
not sent send_window_passed
not sent tls
not sent token_unavailable
OrderHeld business_duplicate
OrderHeld left_out
OrderHeld limit
OrderHeld price_above_quote
OrderRejected approval_rejected
OrderRejected inactive_product
OrderRejected unknown_product
unknown connection_reset
unknown duplicate_request_id
unknown http_401
unknown http_403
unknown http_429
unknown id_mismatch
unknown order_mismatch
unknown redirect
unknown rejected_after_a_send_that_may_have_arrived
unknown server_error
unknown timeout
unknown unexpected_status
unknown unlisted_code
unknown unreadable
""".strip().splitlines()

BOUNDARIES = """
a checkout is written
a checkout was sent
a checkout's reply
a checkout is sent
a commit
a status' answer
claiming
enrolling
forgetting
hastening
rescheduling
the funds' lock
the guards' lock
writing a file
""".strip().splitlines()

OTHERS = """
process:another account's connection
process:replaced while it goes on
process:run twice at once
store:conflict
store:read overtaken by a commit
store:unavailable after a commit
store:unavailable before a commit
callback:duplicate answered 200
callback:forged answered 400
callback:genuine answered 200
callback:receiver away
callback:taken at its word
network:connect_timeout after not writing
network:send window passed
network:timeout after writing
clock:ahead
clock:behind
step:failed ClockApartError
step:failed WrongAccountError
step:failed for good
janitor:sent again
janitor:escalated
people:an older backup is found out
people:answer badly
people:ask again
people:mark approve as successful
people:mark guard as successful
people:withdraw too late
people:top-up
""".strip().splitlines()

# These need two faults, one after the other.
RARE = """
transition:rejected -OrderReceived-> received
fault:reject_resend
reason:OrderHeld approval
transition:failed -EvidenceContradicted-> failed
transition:succeeded -EvidenceContradicted-> succeeded
transition:succeeded -StatusMismatched-> succeeded
""".strip().splitlines()

# These need so many coincidences that even thousands of seeds may lack them.
SELDOM = """
transition:escalated -OrderSucceeded-> succeeded
transition:escalated -OrderFailed-> failed
transition:escalated -StatusMismatched-> escalated
transition:escalated -StatusNotFound-> escalated
transition:failed -OrderFailed-> failed
transition:failed -StatusMismatched-> failed
transition:quoted -StatusMismatched-> unknown
transition:reversed -AmountUnknown-> reversed
transition:reversed -ChargedAboveQuote-> reversed
transition:reversed -EvidenceContradicted-> reversed
transition:reversed -OrderReversed-> reversed
transition:reversed -StatusMismatched-> reversed
transition:submitting -StatusMismatched-> unknown
transition:succeeded -OrderFailed-> failed
transition:succeeded -OrderSucceeded-> succeeded
transition:unknown -CheckoutAccepted-> pending
transition:unknown -StatusMismatched-> unknown
""".strip().splitlines()

EVERY_THOUSAND_SEEDS = (
    *(f"fault:{name}" for name in FAULTS),
    *(f"transition:{name}" for name in TRANSITIONS),
    *(f"event:{name}" for name in EVENTS_ELSEWHERE),
    *(f"code:{name}" for name in CODES),
    *(f"reason:{name}" for name in REASONS),
    *OTHERS,
)
