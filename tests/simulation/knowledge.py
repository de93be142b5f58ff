"""What the watch knows of every order, of the account and of SAT's answers, and its reports of broken
invariants.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sandbox.world import World
from sat_hook.domain.approval_events import ApprovalRequested
from sat_hook.domain.event_record import Event, StreamId
from sat_hook.domain.order import Order
from sat_hook.protocol.exchange import TransportFault, WireResponse
from sat_hook.store.event_store import StatusEvidence
from tests.simulation.processes import Process
from tests.simulation.seals import Seals
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.weather import Weather


class BrokenInvariantError(AssertionError):
    """An invariant does not hold."""

    def __init__(self, what: str, subject: str) -> None:
        super().__init__(f"{what} ({subject})")
        self.what = what
        self.subject = subject


@dataclass(slots=True)
class Transmission:
    """One checkout that was written to a socket."""

    attempt: int
    body: str
    at_seconds: float
    process: Process
    left: bool = False
    reply: WireResponse | TransportFault | None = None


@dataclass(slots=True)
class Known:
    """What the watch knows of one order."""

    order: Order | None = None
    before: Order | None = None
    last_writer: Process | None = None
    version: int = 0
    events: list[tuple[Event, datetime]] = field(default_factory=list)
    sent: list[Transmission] = field(default_factory=list)
    not_found_asked: list[float] = field(default_factory=list)
    evidence: dict[str, StatusEvidence] = field(default_factory=dict)
    looked_at: float = 0.0
    told_at: dict[tuple[str, str], float] = field(default_factory=dict)
    evidence_asked_at: float = 0.0
    was_released: bool = False
    was_given_back: bool = False


class Knowledge:
    """What was observed in one run."""

    def __init__(
        self,
        time: VirtualTime,
        weather: Weather,
        seals: Seals,
        dedup_horizon_seconds: float,
        note: Callable[[str, str], None],
    ) -> None:
        self.weather = weather
        self.counters: Counter[str] = Counter()
        self.note = note
        self.first_break: BrokenInvariantError | None = None
        self.known: dict[str, Known] = defaultdict(Known)
        self._time = time
        self._seals = seals
        self._horizon = timedelta(seconds=dedup_horizon_seconds)
        self._versions: Counter[StreamId] = Counter()
        self._paused_at: float | None = None
        self._reserved_up_to: Counter[str] = Counter()
        self.saldos: set[int] = set()
        self.world: World | None = None
        self._makers: dict[str, str] = {}
        self._asked_for: dict[str, ApprovalRequested] = {}
        self._signers: defaultdict[str, set[str]] = defaultdict(set)
        self._judged_orders = 0
        self._prices: dict[bytes, dict[str, int]] = {}

    def count(self, what: str) -> None:
        """Count an event that must happen now and then."""
        self.counters[what] += 1

    def broken(self, what: str, subject: str) -> None:
        """Record the first broken invariant and stop the running process.

        :raises BrokenInvariantError: always. Other code may swallow it, so the run checks the record as well.
        """
        error = BrokenInvariantError(what, subject)
        self.note("WATCH", f"BROKEN: {error}")
        self.first_break = self.first_break or error
        raise error

    def require(self, condition: object, what: str, subject: str) -> None:
        """:raises BrokenInvariantError: when ``condition`` does not hold."""
        if not condition:
            self.broken(what, subject)

    def has_funds(self, order: Order) -> bool:
        """Whether a quoted order has reserved funds."""
        return order.row_number <= self._reserved_up_to[order.batch_id] and not order.must_be_reserved_again
