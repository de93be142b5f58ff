"""The wire between our client and SAT, without sockets: the real client above, the sandbox's judge below."""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request as AsgiRequest

from sandbox.callbacks import Callback, Outbox
from sandbox.judge import Judge
from sandbox.wire import CALLBACK_TYPE, Manner, Outcome, Request
from sandbox.world import World
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.errors import SendWindowClosed
from sat_hook.clients.send_window import SendGuard
from sat_hook.clients.settings import AccountSettings
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireRequest, WireResponse
from sat_hook.protocol.signing import SIGNATURE_HEADER
from sat_hook.receiver.app import Receiver, _Opened
from sat_hook.receiver.client_addresses import BadSignatures, Sources
from sat_hook.receiver.settings import ReceiverSettings
from tests.keys import key_pairs
from tests.simulation.inbox import SimulatedInbox
from tests.simulation.processes import Process, Storm
from tests.simulation.seals import Seals
from tests.simulation.virtual_time import VirtualClock, VirtualTime
from tests.simulation.watch import Watch

BASE_URL = "http://sat.test/api"
TOKEN_URL = "http://sat.test/token"
SHORTEST_TRIP_SECONDS = 0.002
LONGEST_TRIP_SECONDS = 0.08
WAIT_FOR_CALLBACK_SECONDS = 5.0
A_MOMENT_SECONDS = 1e-5

_REFUSALS = (
    FaultKind.CONNECTION_REFUSED,
    FaultKind.DNS,
    FaultKind.CONNECT_TIMEOUT,
    FaultKind.TLS,
    FaultKind.PROXY,
)


class SimulatedSAT:
    """SAT's side: the sandbox's world, its callbacks, and the receiver that they reach."""

    def __init__(
        self,
        time: VirtualTime,
        watch: Watch,
        storm: Storm,
        chance: random.Random,
        seals: Seals,
        account: str,
        receive: Callable[[str, str, str, bytes, str], bool],
    ) -> None:
        self._time = time
        self._watch = watch
        self._storm = storm
        self._chance = chance
        self._account = account
        self.rang = asyncio.Event()
        self.inbox = SimulatedInbox(VirtualClock(time).now)
        scenario = watch.weather.scenario
        self.world = World(
            key_pairs(),
            VirtualClock(time),
            scenario=scenario,
            credentials={account: "demo", other_account(account): "demo"},
            callback_url="http://receiver.test",
        )
        self.world.verifier = seals.partner_verifier  # type: ignore[assignment]
        self.world.signer = seals.sat  # type: ignore[assignment]
        self.world.outbox = Outbox(self.world.ledger, self.world.signer, self.world.chance)
        self.judge = Judge(self.world)
        watch.world = self.world
        self.fired: Counter[str] = Counter()
        self._alarm: asyncio.TimerHandle | None = None
        self._answered: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self._receiver = _receiver(account, seals, time, self._keep)
        self._receive = receive

    def stop_faults(self) -> None:
        """Make SAT honest from now on. Orders in flight keep their faults."""
        self.fired.update(self.world.faults.fired)
        self.world.change_scenario(self.world.scenario.model_copy(update={"faults": ()}))

    def serve(self, request: Request) -> asyncio.Future[WireResponse | TransportFault]:
        """Accept a request. The returned future is the response, if there is one."""
        answer: asyncio.Future[WireResponse | TransportFault] = asyncio.get_running_loop().create_future()
        self._spawn(self._serve(request, answer))
        return answer

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: Request, answer: asyncio.Future[Any]) -> None:
        arrival = self.judge.arrive(request)
        self._judged()
        if not isinstance(arrival, Outcome):
            if arrival.delay_seconds:
                await asyncio.sleep(arrival.delay_seconds)
            arrival = self.judge.carry_out(arrival)
            self._judged()
        if arrival.after_callback_of is not None:
            await self._wait_for_callback(arrival.after_callback_of)
        delay = arrival.delay_seconds + self._chance.uniform(SHORTEST_TRIP_SECONDS, LONGEST_TRIP_SECONDS)
        await asyncio.sleep(delay)
        if answer.done():
            return
        if arrival.reply is not None:
            answer.set_result(
                WireResponse(arrival.reply.status, dict(arrival.reply.headers), arrival.reply.body)
            )
        elif arrival.loss is Manner.RESET:
            answer.set_result(TransportFault(FaultKind.CONNECTION_RESET, sent=True, detail="reset"))
        # No response: the future stays open, and the client's own timeout ends the wait.

    def _judged(self) -> None:
        self._watch.judged(self.world)
        self._arm()

    def _arm(self) -> None:
        due = self.world.next_due()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            # A moment later than due: readings of the wall clock are rounded to microseconds.
            at = max(self._time.at(due), self._time.seconds) + A_MOMENT_SECONDS
            self._alarm = asyncio.get_running_loop().call_at(at, self._tick)

    def _tick(self) -> None:
        self.world.advance()
        self._watch.judged(self.world)
        for callback in self.world.outbox.take_due(self.world.now()):
            self._spawn(self._deliver(callback))
        self._arm()

    async def _deliver(self, callback: Callback) -> None:
        await asyncio.sleep(self._chance.uniform(SHORTEST_TRIP_SECONDS, LONGEST_TRIP_SECONDS))
        answer: int | str
        if self._storm.strikes(self._watch.weather.callback_unreachable):
            answer = "unreachable"
            self._watch.count("callback:receiver away")
        else:
            answer = (await self._receiver.callback(_asgi(self._account, callback))).status_code
            self._watch.count(f"callback:{callback.label} answered {answer}")
            self._watch.note(
                "SAT", f"callback {callback.label} {callback.status} of {callback.request_id}: {answer}"
            )
            if callback.label == "forged" and answer == 200:
                self._watch.broken("a forged callback was taken for genuine", callback.request_id)
        self.world.outbox.answered(callback, answer, self.world.scenario.callbacks, self.world.now())
        waiting = self._answered.get(callback.request_id)
        if waiting is not None:
            waiting.set()
        self._arm()

    async def _wait_for_callback(self, request_id: str) -> None:
        event = self._answered.setdefault(request_id, asyncio.Event())
        try:
            async with asyncio.timeout(WAIT_FOR_CALLBACK_SECONDS):
                await event.wait()
        except TimeoutError:
            pass

    def _keep(self, request_id: str, digest: str, body: bytes, signature: str) -> bool:
        is_new = self._receive(self._account, request_id, digest, body, signature)
        if is_new:
            self.inbox.keep(request_id, body, signature)
        self.rang.set()
        return is_new


class _Inbox:
    """Replaces the receiver's inbox."""

    def __init__(self, keep: Callable[[str, str, bytes, str], bool]) -> None:
        self._keep = keep

    async def store(self, callback: Any, timeout_seconds: float) -> bool:
        return self._keep(callback.request_id, callback.digest, callback.body, callback.signature)


def _receiver(
    account: str, seals: Seals, time: VirtualTime, keep: Callable[[str, str, bytes, str], bool]
) -> Receiver:
    settings = ReceiverSettings("", {account: seals.sat_verifier})  # type: ignore[dict-item]
    receiver = Receiver(lambda: settings, lambda: time.seconds)
    limits = settings.limits
    receiver._opened = _Opened(
        settings,
        Sources((), ()),
        BadSignatures(limits.bad_signatures_per_minute, limits.remembered_sources, lambda: time.seconds),
        _Inbox(keep),  # type: ignore[arg-type]
    )
    return receiver


def _asgi(account: str, callback: Callback) -> AsgiRequest:
    headers = [(b"content-type", CALLBACK_TYPE.encode())]
    if callback.signature is not None:
        headers.append((SIGNATURE_HEADER.encode(), callback.signature.encode()))
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/callbacks/{account}",
        "path_params": {"account": account},
        "query_string": b"",
        "headers": headers,
        "client": (str(ipaddress.IPv4Address(0x34_4A_23_E1)), 443),
    }
    messages = iter([{"type": "http.request", "body": callback.body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    return AsgiRequest(scope, receive)


class SimulatedTransport:
    """Replaces aiohttp in the real client, with the same promise: faults, never exceptions."""

    def __init__(
        self, sat: SimulatedSAT, process: Process, watch: Watch, storm: Storm, settings: AccountSettings
    ) -> None:
        self._sat = sat
        self._process = process
        self._watch = watch
        self._storm = storm
        self._settings = settings
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True

    async def exchange(
        self, base_url: str, request: WireRequest, guard: SendGuard
    ) -> WireResponse | TransportFault:
        if self.is_closed:
            return TransportFault(FaultKind.CLIENT_CLOSED, sent=False, detail="the client is closed")
        is_checkout = request.method == "POST" and request.path == "/v2/order"
        try:
            async with asyncio.timeout(self._settings.total_timeout_seconds):
                return await self._exchange(base_url, request, guard, is_checkout)
        except SendWindowClosed:
            await self._process.thawed()
            self._watch.count("network:send window passed")
            return TransportFault(FaultKind.SEND_WINDOW_PASSED, sent=False, detail="the window passed")
        except TimeoutError:
            await self._process.thawed()
            kind = FaultKind.TIMEOUT if guard.written else FaultKind.CONNECT_TIMEOUT
            self._watch.count(f"network:{kind.value} after {'' if guard.written else 'not '}writing")
            fault = TransportFault(kind, sent=guard.written, detail=kind.value)
            if is_checkout:
                self._watch.answered(self._process, request, fault)
            return fault

    async def _exchange(
        self, base_url: str, request: WireRequest, guard: SendGuard, is_checkout: bool
    ) -> WireResponse | TransportFault:
        process, weather, chance = self._process, self._watch.weather, self._process.chance
        if is_checkout:
            await process.gate("before a checkout is sent")
        else:
            await process.thawed()
        if self._storm.strikes(weather.refused_connection):
            kind = chance.choice(_REFUSALS)
            self._watch.count(f"network:{kind.value}")
            return TransportFault(kind, sent=False, detail=kind.value)
        if self._storm.strikes(weather.slow_connection):
            self._watch.count("network:slow connection")
            await asyncio.sleep(chance.uniform(1, self._settings.connect_timeout_seconds))
            await process.thawed()
        if is_checkout:
            await asyncio.sleep(chance.uniform(SHORTEST_TRIP_SECONDS, LONGEST_TRIP_SECONDS))
            await process.thawed()
        guard.before_writing()
        asked_at = process.time.seconds
        if is_checkout:
            self._watch.written(process, request, self._settings.account)
            # A process that stops between the check of its send window and the write: SAT's deduplication
            # covers this case.
            await process.gate("as a checkout is written")
            self._watch.left(process, request)
        answer = self._sat.serve(_incoming(base_url, request))
        if is_checkout:
            await process.gate("after a checkout was sent")
        # Shielded: the reply to a client that no longer listens is still on its way.
        reply = await asyncio.shield(answer)
        if is_checkout:
            self._watch.answered(process, request, reply)
            await process.gate("after a checkout's reply")
        else:
            self._watch.told(process, request, reply, asked_at)
            if request.path.startswith("/v2/order/"):
                await process.gate("after a status' answer")
            else:
                await process.thawed()
        return reply


def _incoming(base_url: str, request: WireRequest) -> Request:
    path = base_url.removeprefix("http://sat.test") + request.path
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(request.method, path, urlencode(request.query), headers, request.body)


def client_of(
    sat: SimulatedSAT,
    process: Process,
    watch: Watch,
    storm: Storm,
    settings: AccountSettings,
) -> AsyncSATClient:
    """Return the real client of one process, on the simulated wire."""
    client = AsyncSATClient(settings, process.clock)
    client._transport = SimulatedTransport(sat, process, watch, storm, settings)  # type: ignore[assignment]
    return client


def settings_of(account: str, seals: Seals) -> AccountSettings:
    """Return the account's settings, with real limits."""
    return AccountSettings(
        account=account,
        environment=Environment.CUSTOM,
        base_url=BASE_URL,
        token_url=TOKEN_URL,
        client_id=account,
        client_secret="demo",
        signer=seals.partner,  # type: ignore[arg-type]
        verifier=seals.sat_verifier,  # type: ignore[arg-type]
    )


def other_account(account: str) -> str:
    """Return another account of the same installation, at the same SAT."""
    return f"{account}-other"
