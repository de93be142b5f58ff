"""The result of a command: events to append, or a refusal that changes nothing. And the deciders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from sat_hook.domain.event_record import Event, StreamKind

State = TypeVar("State")
Command = TypeVar("Command")


class RefusalReason(StrEnum):
    """Why a command changes nothing."""

    NO_SUCH_ORDER = "no_such_order"
    NO_SUCH_BATCH = "no_such_batch"
    NO_SUCH_EXPORT = "no_such_export"
    SAME_ORDER = "same_order"
    ORDER_ID_REUSED = "order_id_reused"
    WRONG_STATE = "wrong_state"
    NOT_VALIDATED = "not_validated"
    ALREADY_SO = "already_so"
    ALREADY_ENDED = "already_ended"
    NEVER_SENT = "never_sent"
    MAY_HAVE_BEEN_SENT = "may_have_been_sent"
    IN_FLIGHT = "in_flight"
    QUOTE_STALE = "quote_stale"
    NOT_RESERVED = "not_reserved"
    BODY_CHANGED = "body_changed"
    NOT_KNOWN_TO_BE_ABSENT = "not_known_to_be_absent"
    BEYOND_DEDUP_HORIZON = "beyond_dedup_horizon"
    STALE_ATTEMPT = "stale_attempt"
    STALE_EVIDENCE = "stale_evidence"
    NOT_CONFIRMED = "not_confirmed"
    OVERTAKEN = "overtaken"
    TOO_EARLY = "too_early"
    NOT_APPROVED = "not_approved"
    SAME_PERSON = "same_person"
    PRICE_CHANGED = "price_changed"
    NOT_REPRODUCED = "not_reproduced"


class Refusal(BaseModel):
    """A valid command that changes nothing."""

    model_config = ConfigDict(frozen=True)

    reason: RefusalReason
    detail: str = ""


Decision = tuple[Event, ...] | Refusal


@dataclass(frozen=True, slots=True)
class Record:
    """The command to append an event as it is: what a step found, or a person did, is its whole content.

    The rules of the stream decide whether its state allows the event.
    """

    event: Event


def refuse(reason: RefusalReason, detail: str = "") -> Refusal:
    return Refusal(reason=reason, detail=detail)


@dataclass(frozen=True, slots=True)
class Decider(Generic[State, Command]):
    """The rules of one kind of stream. Every function is pure.

    :param stream_kind: the kind of stream whose events these are.
    :param initial_state: the state before the first event, by the stream's key; None if nothing exists yet.
    :param decide: the events that a command appends in this state, or why it changes nothing.
    :param evolve: the state after one event, from the state before it, the stream's key and the time at which
        the event occurred.
    """

    stream_kind: StreamKind
    initial_state: Callable[[str], State]
    decide: Callable[[State, Command], Decision]
    evolve: Callable[[State, str, Event, datetime], State]

    def fold(self, key: str, events: Iterable[tuple[Event, datetime]]) -> State:
        """The state after all of ``events``, each with the time at which it occurred."""
        state = self.initial_state(key)
        for event, occurred_at in events:
            state = self.evolve(state, key, event, occurred_at)
        return state


def nothing_yet(_key: str) -> None:
    """The initial state of a stream that does not exist before its first event."""
