"""A new event type is given each of its places: a test here fails for the one that was forgotten.

Most places are found by the rules themselves (``test_every_pair.py``, ``test_order_movements.py``, the golden
histories). Those that only a person can decide about are listed here: add the new name to one of the two.
"""

from __future__ import annotations

from sat_hook.cli.order import _SHOWN
from sat_hook.domain import (
    account,
    account_rules,
    approval_events,
    batch_events,
    books_events,
    console_users,
    export,
    legacy_events,
    log_archives,
    rights_seen,
    verifications,
    webhooks,
)
from sat_hook.domain import order_events as happened
from sat_hook.domain.alerts import ALERTING_TYPES
from sat_hook.domain.event_record import Event, registered_events
from sat_hook.domain.masking import IN_WORDS, NAMES, PERSONAL, SET_ASIDE

MODULES = (
    account,
    account_rules,
    approval_events,
    batch_events,
    books_events,
    console_users,
    export,
    happened,
    legacy_events,
    log_archives,
    rights_seen,
    verifications,
    webhooks,
)
BASES = {
    account_rules.RulesEvent,
    legacy_events.EarlierRulesEvent,
    books_events.BooksEvent,
    happened.HoldingEvent,
    happened.SentOrderEvent,
    happened.SignedStatus,
}

#: Events of orders and batches that raise no alert.
QUIET = """
    ApprovalRefused ApprovalRejected ApprovalRequested ApprovalSigned BalanceChecked BatchApproved
    BatchCompleted BatchGuarded BatchPaysAgain BatchQuoted BatchReceived BatchRefused BatchReopened
    BatchResultsWritten BatchRunRefused BatchRunStarted BatchStartPlanned BatchSubmitted BatchValidated
    BatchWithdrawn CheckoutAccepted CheckoutNotSent CheckoutRejected CheckoutRequested CheckoutUnknown
    FailedByOperator FundsReserved GoodsDelivered OrderAdmitted OrderApproved OrderCancelled
    OrderFileMended OrderHeld OrderQuoted OrderReceived OrderRejected OrderReleased OrderValidated
    OrderWithdrawn OrdersLeftOut ResendAllowedByOperator ReservationRenewed RowsTakenIn
    StatusAskedByOperator StatusNotFound SucceededByOperator
"""

#: Members of an order's events that its timeline does not show.
NOT_SHOWN = """
    account asked_at batch_id body client_number downline_id evidence_digest facts fields members
    observed_at order_id payload_digest quote_rupiah response_digest settled_after
"""

#: Members of events that hold nothing about a customer, so that a masked evidence pack may show them.
IMPERSONAL = """
    account accounts adjusted_days admin_fee_rupiah alerts amount_rupiah approver asked_at assignee
    attempt available_rupiah batch_id began_at break_id breaks cause cell_changes changes changes_digest
    charged_rupiah checkpoint checkpoints client closed_position code columns compared_with confirmed_by
    connection content counts covered_position credited_at criteria cut_off_minutes day decided_at
    declined_by digest earlier_batch_id error_code estimate_rupiah events evidence_digest
    expected_rupiah facts file_format findings first_checkpoint first_position first_row found
    found_rupiah fulfilled_at given_rights held held_rows holder_changes holders http_status
    included_before is_everything is_inquiry is_signed key_ids last_checkpoint last_position last_row
    left_orders left_out left_rupiah list_price_rupiah listed mapping max_rupiah member members messages
    moved_events observed_at open_breaks order_id orders parameters partition partner_fee_rupiah persons
    policy position price_rupiah product_code proposal proposed_by published_checkpoint quote_rupiah
    quoted quotes_digest received_at recorded_before recorded_from recorded_to rejected rejecter renewed
    replaces_earlier reported_status requested_at response_digest rest result_digest rights rivals roles
    row_number rows rules run saldo saldo_rupiah sales_price_rupiah send_before session settled_after
    shown size_bytes snapshot_id source starts_at state state_digest statuses_checked streams
    taken_rights tally terms topics total_rupiah uncovered_events unsent up_to_row upload_bytes
    upload_digest upload_format url user valid valid_until values with_personal_data
"""


def members_of(*modules: object) -> set[str]:
    """The members of the events that these modules define."""
    kinds = registered_events().values()
    return {name for kind in kinds if kind.__module__ in map(_name, modules) for name in kind.model_fields}


def _name(module: object) -> str:
    return str(vars(module)["__name__"])


def test_every_event_class_is_registered() -> None:
    """One that is not could be written, and never read again."""
    classes = {
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind.__module__ == _name(module)
    }
    assert classes - BASES == set(registered_events().values())


def test_every_event_of_an_order_or_a_batch_is_news_or_not() -> None:
    """It raises an alert, or is listed as raising none."""
    names = {
        name
        for (name, _), kind in registered_events().items()
        if kind.__module__ in (_name(happened), _name(batch_events))
    }
    assert names - set(ALERTING_TYPES) == set(QUIET.split()) & names
    assert not set(QUIET.split()) & set(ALERTING_TYPES)


def test_every_member_of_an_order_s_event_is_shown_in_its_timeline_or_not() -> None:
    """A member that explains something is shown; bodies, numbers and digests stay in the log."""
    assert members_of(happened) - _SHOWN == set(NOT_SHOWN.split())


def test_every_member_of_an_event_is_masked_or_impersonal() -> None:
    """A pack without personal data hides what is a customer's."""
    masked = PERSONAL | IN_WORDS | NAMES | {SET_ASIDE}
    assert members_of(*MODULES) - masked == set(IMPERSONAL.split())
