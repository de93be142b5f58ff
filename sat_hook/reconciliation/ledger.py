"""Our ledger of a day: every order that moved, folded from the log as of a position, as one frame.

The fold happens in SQL, on numbers, because a million orders have several million events; it says the same as
:func:`sat_hook.domain.order.fold`, which the tests hold it against. Amounts are int64 rupiah throughout.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from psycopg2.extensions import connection as Connection

from sat_hook.domain.grouping import grouped
from sat_hook.domain.order import OrderState
from sat_hook.store.statements import queries

UNSENT = "unsent"
SKEW = timedelta(hours=1)
"""So far apart may the clocks of those be who record the events of one order."""
STREAMS_PER_STATEMENT = 50_000
AMOUNT_BITS = (1 << 40) - 1
"""The place of the amount in a packed number; all bits set are no amount (SQL: ``sat.packed_amount``)."""
CODE_BITS = 31

#: Types of events that move an order on, and the state that each leads to. The place in this table is the
#: code in the SQL statement ``moves``; 0 there is nothing yet.
STATE_AFTER: dict[str, OrderState | None] = {
    "CheckoutRequested": OrderState.SUBMITTING,
    "CheckoutNotSent": OrderState.UNKNOWN,  # or quoted again: see _states
    "CheckoutAccepted": OrderState.PENDING,
    "CheckoutRejected": OrderState.FAILED,
    "CheckoutUnknown": OrderState.UNKNOWN,
    "StatusNotFound": None,
    "OrderPending": OrderState.PENDING,
    "OrderSucceeded": OrderState.SUCCEEDED,
    "OrderFailed": OrderState.FAILED,
    "OrderReversed": OrderState.REVERSED,
    "EvidenceContradicted": None,
    "OrderEscalated": OrderState.ESCALATED,
    "ResendAllowedByOperator": OrderState.UNKNOWN,
    "SucceededByOperator": OrderState.SUCCEEDED,
    "FailedByOperator": OrderState.FAILED,
    "AmountUnknown": None,
    "ReversalDoubted": None,
    "StatusMismatched": None,  # or unknown: see _folded
}
MOVES = tuple(STATE_AFTER)
ENDS = tuple(
    name
    for name, state in STATE_AFTER.items()
    if state in (OrderState.SUCCEEDED, OrderState.FAILED, OrderState.REVERSED)
)
CODES = {name: place for place, name in enumerate(MOVES, start=1)}

_STATES = (UNSENT, *(state.value for state in OrderState))
_STATE_OF_CODE = np.array(
    [0, *(_STATES.index(state.value) if state is not None else 0 for state in STATE_AFTER.values())],
    dtype="int8",
)
IN_TRANSIT = tuple(
    _STATES.index(state.value)
    for state in (OrderState.SUBMITTING, OrderState.PENDING, OrderState.UNKNOWN, OrderState.ESCALATED)
)
_IN_FLIGHT = tuple(_STATES.index(state.value) for state in OrderState if state.is_in_flight)
_SUCCEEDED = _STATES.index(OrderState.SUCCEEDED.value)
_GIVEN_BACK = (_STATES.index(OrderState.FAILED.value), _STATES.index(OrderState.REVERSED.value))

_MOVE_COLUMNS = (
    "request_id",
    "began_here",
    "requested",
    "not_sent",
    "arrivals",
    "step",
    "opening_step",
    "closing_step",
    "before_step",
    "not_found",
    "contradicted",
    "mismatched",
    "price",
    "charge",
    "before_charge",
    "admin_fee_rupiah",
    "partner_fee_rupiah",
    "proves_debit",
    "sent_us",
    "ended_us",
    "moved_us",
    "last_position",
    "day_events",
    "day_mark",
    "day_rupiah",
)
_SMALL = {"began_here": "int8", "requested": "int16", "not_sent": "int16", "arrivals": "int16"}
_MOVE_TYPES = {name: "str" if name == "request_id" else _SMALL.get(name, "int64") for name in _MOVE_COLUMNS}
_RECEIVED_TYPES = {
    "request_id": "str",
    "account": "category",
    "order_id": "str",
    "batch_id": "category",
    "row_number": "int32",
    "product_code": "category",
    "client_number": "str",
    "client_mark": "int64",
}


@dataclass(frozen=True, slots=True)
class Span:
    """From where to where a ledger is read.

    :param opens_at: the cut-offs of the day.
    :param opening_at: the moments of the two looks at the deposit; the cut-offs where nobody looked.
    :param position: nothing after it is read.
    :param before: the position at which the last day before was closed; 0 for the first.
    :param follows: that was the very day before, and the opening is its closing: as it was known then.
    """

    opens_at: datetime
    closes_at: datetime
    opening_at: datetime
    closing_at: datetime
    position: int
    before: int
    follows: bool = False

    @property
    def opening_position(self) -> int:
        """Up to where the opening is read."""
        return self.before if self.follows else self.position

    @property
    def since(self) -> datetime:
        """From when on events are read in bulk."""
        return min(self.opens_at, self.opening_at) - SKEW


@dataclass(frozen=True, slots=True)
class Tally:
    """What events of a day come to, however they are counted: how many, sum, digest, first sendings."""

    events: int = 0
    mark: int = 0
    rupiah: int = 0
    sendings: int = 0

    def without(self, other: Tally) -> Tally:
        """This tally less a part of it."""
        return Tally(
            self.events - other.events,
            self.mark ^ other.mark,
            self.rupiah - other.rupiah,
            self.sendings - other.sendings,
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """The orders of an account in a span, what other accounts did meanwhile, and orders without a beginning.

    :param rows: see :func:`_folded`.
    """

    rows: pd.DataFrame
    foreign: Tally
    lost: tuple[str, ...]


def read_ledger(connection: Connection, account: str, span: Span) -> Ledger:
    """Every order of the account that was sent, moved or in transit within the span.

    :param connection: inside one snapshot, with rights on ``sat.events`` and ``sat.orders``.
    """
    moves = _moves(connection, span, since=span.since, streams=())
    came = moves["began_here"] == 1
    # Those that were sent before are read from their beginning, as are those that merely wait.
    waiting = (row[0] for row in queries("reconciliation").in_flight(connection, account=account))
    earlier = sorted({*moves.loc[~came, "request_id"], *(set(waiting) - set(moves["request_id"]))})
    parts = [
        moves[came],
        *(_moves(connection, span, since=None, streams=group) for group in _streams_of(earlier)),
    ]
    del moves
    moves = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    del parts
    received = _received(connection, span, since=span.since, streams=())
    places = _places(moves, received)
    if absent := moves.loc[places < 0, "request_id"].tolist():
        late = [_received(connection, span, since=None, streams=group) for group in _streams_of(absent)]
        received = pd.concat([received, *late], ignore_index=True)
        places = _places(moves, received)
    return _of_account(moves, received, places, account, span)


def _places(moves: pd.DataFrame, received: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.intp]]:
    """For each move the row of its order's beginning, -1 where there is none.

    :raises pandas.errors.InvalidIndexError: when an order began twice.
    """
    places = pd.Index(received["request_id"]).get_indexer(pd.Index(moves["request_id"]))
    return np.asarray(places, dtype=np.intp)


def ledger_of(connection: Connection, account: str, span: Span, request_ids: Iterable[str]) -> pd.DataFrame:
    """The ledger's rows of these orders, whenever they moved; those unknown to the account are absent."""
    groups = _streams_of(sorted(set(request_ids)))
    empty: list[list[str]] = [[]]
    moves = [_moves(connection, span, since=None, streams=group) for group in groups or empty]
    received = [_received(connection, span, since=None, streams=group) for group in groups or empty]
    joined = pd.concat(moves, ignore_index=True).merge(
        pd.concat(received, ignore_index=True), on="request_id", how="inner", validate="one_to_one"
    )
    return _folded(joined[joined["account"] == account], span)


def _of_account(
    moves: pd.DataFrame,
    received: pd.DataFrame,
    places: np.ndarray[Any, np.dtype[np.intp]],
    account: str,
    span: Span,
) -> Ledger:
    is_lost = (places < 0) & (moves["last_position"] > 0).to_numpy()
    lost = tuple(sorted(moves.loc[is_lost, "request_id"]))
    began = received.drop(columns="request_id").take(places[places >= 0]).reset_index(drop=True)
    joined = pd.concat([moves[places >= 0].reset_index(drop=True), began], axis=1)
    del moves, received, began
    is_ours = joined["account"] == account
    others = joined[~is_ours]
    sent_us = others["sent_us"]
    foreign = Tally(
        events=int(others["day_events"].sum()),
        mark=int(np.bitwise_xor.reduce(others["day_mark"].to_numpy())),
        rupiah=int(others["day_rupiah"].sum()),
        sendings=int(
            ((sent_us >= _microseconds(span.opens_at)) & (sent_us < _microseconds(span.closes_at))).sum()
        ),
    )
    ours = joined[is_ours]
    del joined, others
    rows = _folded(ours, span)
    return Ledger(rows[_belongs(rows, span)].reset_index(drop=True), foreign, lost)


def _streams_of(request_ids: Sequence[str]) -> list[list[str]]:
    streams = (f"order/{request_id}" for request_id in request_ids)
    return list(grouped(streams, STREAMS_PER_STATEMENT))


def _moves(
    connection: Connection, span: Span, *, since: datetime | None, streams: Sequence[str]
) -> pd.DataFrame:
    arguments = {
        "since": "infinity" if since is None else since,
        "streams": list(streams),
        "types": list(MOVES),
        "position": span.position,
        "before": span.before,
        "opening_position": span.opening_position,
        "opens_at": span.opens_at,
        "closes_at": span.closes_at,
        "opening_at": span.opening_at,
        "closing_at": span.closing_at,
    }
    return copied(connection, queries("reconciliation").moves.sql, arguments, _MOVE_TYPES)


def _received(
    connection: Connection, span: Span, *, since: datetime | None, streams: Sequence[str]
) -> pd.DataFrame:
    arguments = {
        "since": "infinity" if since is None else since,
        "streams": list(streams),
        "position": span.position,
    }
    return copied(connection, queries("reconciliation").received.sql, arguments, _RECEIVED_TYPES)


def copied(
    connection: Connection, statement: str, arguments: dict[str, Any], types: dict[str, str]
) -> pd.DataFrame:
    """The result of a statement as a frame: COPY into a file and from there, so that it is there once."""
    with connection.cursor() as cursor, tempfile.TemporaryFile() as file:
        bound = cursor.mogrify(statement, arguments).decode("utf-8").rstrip().rstrip(";")
        cursor.copy_expert(f"COPY ({bound}) TO STDOUT (FORMAT csv)", file)
        file.seek(0)
        return pd.read_csv(
            file, header=None, names=list(types), dtype=types, keep_default_na=False, na_filter=False
        )


def _folded(read: pd.DataFrame, span: Span) -> pd.DataFrame:
    """The fold of each order as columns, ordered by request id.

    Beside the columns of :data:`~sat_hook.reconciliation.model.ORDER_COLUMNS` up to
    ``in_transit_closing_rupiah``: ``before_state``, ``before_rupiah`` (as of the day before), ``ends_by``
    (the code of the event that made the state), ``contradicted``, ``mismatched``, ``is_uncertain_at_close``,
    ``client_mark`` (60 bits of the MD5 of the client number), and what the order's events of the day come to:
    ``day_events``, ``day_mark``, ``day_rupiah``.
    """
    read = read.sort_values("request_id", ignore_index=True)
    never_left = (read["requested"] == read["not_sent"]) & (read["arrivals"] == 0)
    state = _states(read["step"], never_left)
    version = read["step"] // (CODE_BITS + 1)
    is_lost = ((read["step"] & CODE_BITS) == CODES["CheckoutRequested"]) & (read["not_found"] > version)
    is_told_of_another = np.isin(state, _IN_FLIGHT) & (read["mismatched"] > version)
    state = np.where(is_lost | is_told_of_another, _STATES.index(OrderState.UNKNOWN.value), state)
    opening, closing = _states(read["opening_step"], never_left), _states(read["closing_step"], never_left)
    before = _states(read["before_step"], never_left)
    was_debited = read["proves_debit"] == 1
    read = read.assign(
        **{name: _amount(read[name], 0) for name in ("price", "admin_fee_rupiah", "partner_fee_rupiah")}
    )
    charged = _amount(read["charge"], read["price"])
    # What never left, and what was refused at once, took nothing.
    is_free = never_left | ((state == _GIVEN_BACK[0]) & ~was_debited)
    charged = charged.where(~is_free, 0)
    booked = charged.where(charged != 0, read["price"])
    in_transit = [np.isin(states, IN_TRANSIT) for states in (opening, closing)]
    has_succeeded = (closing == _SUCCEEDED) & (opening != _SUCCEEDED)
    was_given_back = np.isin(closing, _GIVEN_BACK) & ~np.isin(opening, _GIVEN_BACK) & was_debited
    passed = was_given_back & (opening != _SUCCEEDED)  # taken and given back between the two looks
    valued_before = _amount(read["before_charge"], read["price"])
    closing_us = int(span.closing_at.timestamp() * 1_000_000)
    frame = pd.DataFrame(
        {
            "request_id": read["request_id"],
            "order_id": read["order_id"],
            "batch_id": read["batch_id"].astype("category"),
            "row_number": read["row_number"],
            "product_code": read["product_code"].astype("category"),
            "client_number": read["client_number"],
            "state": _as_category(state),
            "state_at_close": _as_category(closing),
            "sent_at": _moments(read["sent_us"]),
            "ended_at": _moments(read["ended_us"].where(~_is_open(state), -1)),
            "is_sent_in_day": (read["sent_us"] >= _microseconds(span.opens_at))
            & (read["sent_us"] < _microseconds(span.closes_at)),
            "quote_rupiah": read["price"],
            "charged_rupiah": charged,
            "admin_fee_rupiah": read["admin_fee_rupiah"],
            "partner_fee_rupiah": read["partner_fee_rupiah"],
            "debit_rupiah": booked.where(has_succeeded | passed, 0),
            "refund_rupiah": booked.where(was_given_back, 0),
            "in_transit_opening_rupiah": (valued_before if span.follows else booked).where(in_transit[0], 0),
            "in_transit_closing_rupiah": booked.where(in_transit[1], 0),
            "last_position": read["last_position"],
            "before_state": _as_category(before),
            "before_rupiah": valued_before,
            "ends_by": (read["step"] & CODE_BITS).astype("int8"),
            "contradicted": read["contradicted"] > 0,
            "mismatched": read["mismatched"] > 0,
            "is_uncertain_at_close": in_transit[1]
            | ((read["sent_us"] - closing_us).abs() < _DRIFT_US)
            | ((read["moved_us"] - closing_us).abs() < _DRIFT_US),
            "client_mark": read["client_mark"],
            "day_events": read["day_events"],
            "day_mark": read["day_mark"],
            "day_rupiah": read["day_rupiah"],
        }
    )
    return frame[(read["last_position"] > 0)].reset_index(drop=True)


def _belongs(rows: pd.DataFrame, span: Span) -> pd.Series[bool]:
    """Which orders are the day's: sent or ended in it, in transit or moved between the looks, or changed."""
    is_sent = rows["sent_at"] < pd.Timestamp(max(span.closes_at, span.closing_at))
    is_money = rows[list(_TERMS)].ne(0).any(axis=1)
    has_changed = (rows["before_state"] != rows["state"]) & (rows["before_state"] != UNSENT)
    return (is_sent & (is_money | has_changed)) | (rows["day_events"] > 0)


_TERMS = ("debit_rupiah", "refund_rupiah", "in_transit_opening_rupiah", "in_transit_closing_rupiah")
_DRIFT_US = 60 * 1_000_000


def _states(steps: pd.Series[int], never_left: pd.Series[bool]) -> np.ndarray[Any, np.dtype[np.int8]]:
    codes = (steps & CODE_BITS).to_numpy()
    states = _STATE_OF_CODE[codes]
    is_back = (codes == CODES["CheckoutNotSent"]) & never_left.to_numpy()
    return np.where(is_back, _STATES.index(OrderState.QUOTED.value), states).astype("int8")


def _is_open(states: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.isin(states, (*IN_TRANSIT, 0, _STATES.index(OrderState.QUOTED.value)))


def _amount(packed: pd.Series[int], otherwise: pd.Series[int] | int) -> pd.Series[int]:
    amounts = packed & AMOUNT_BITS
    return amounts.where((packed >= 0) & (amounts != AMOUNT_BITS), otherwise)


def _as_category(states: np.ndarray[Any, Any]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(states.astype("int64"), categories=pd.Index(_STATES))


def _moments(microseconds: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    values = microseconds.to_numpy().astype("int64")
    moments = values.astype("datetime64[us]")
    moments[values < 0] = np.datetime64("NaT", "us")
    return pd.Series(moments, index=microseconds.index).dt.tz_localize("UTC")


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
