"""Callbacks signed by SAT that name one of our orders but another product or client number.

Such a callback ends no order, whether callbacks are trusted or not, and the queried status may look right.
It still raises an alert, because SAT mixes up orders.
"""

from __future__ import annotations

from sat_hook.domain.alerts import Alert, AlertKind, alert_line
from sat_hook.domain.same_order import differing_members
from sat_hook.pipeline.alerting import Tell
from sat_hook.protocol.errors import UnreadableReplyError
from sat_hook.protocol.messages import parse_order
from sat_hook.store.callbacks import CallbackReader, CallbackWithOrder

CALLBACKS_A_ROUND = 20_000
PAGE = 500


def tell_of_misdirected(reader: CallbackReader, account: str, tell: Tell) -> int:
    """Raise an alert for each such callback since the last round; return how many there were.

    An interrupted round is repeated and raises the same alerts, which are skipped.

    :raises StoreUnavailableError: when the database is away; the next round continues where this one stopped.
    """
    found = 0
    for _ in range(CALLBACKS_A_ROUND // PAGE):
        page = reader.read_new(account, PAGE)
        alerts = [alert for callback in page if (alert := _alert(account, callback)) is not None]
        tell(alerts)
        found += len(alerts)
        if page:
            reader.move_on(account, page[-1].inbox_id)
        if len(page) < PAGE:
            break
    return found


def _alert(account: str, callback: CallbackWithOrder) -> Alert | None:
    try:
        told = parse_order(callback.body)
    except UnreadableReplyError:
        return None  # the receiver could read it; a release that cannot has other troubles
    differing = differing_members(
        callback.product_code, callback.client_number, told.product_code, told.client_number
    )
    if not differing:
        return None
    another = " and ".join(f"another {member.replace('_', ' ')}" for member in differing)
    return Alert(
        key=f"callback_misdirected/{account}/{callback.inbox_id}",
        kind=AlertKind.CALLBACK_MISDIRECTED,
        account=account,
        text=alert_line(
            f"{callback.request_id}: a signed callback with this request id is about {another}; it ended "
            "nothing, SAT is asked for the status"
        ),
        occurred_at=callback.received_at,
        batch_id=callback.batch_id,
        subject=callback.request_id,
    )
