"""Verifies the signed statuses behind events: against SAT's keys, and against the events.

A writer of the log could record an end with a text that SAT never signed. The pipeline verified each text
when it arrived; here it is verified again, with the auditor's keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from sat_hook.audit.findings import Finding, FindingKind, Report
from sat_hook.domain import order_events as happened
from sat_hook.domain.business_day import WIB
from sat_hook.domain.errors import UnknownEventError
from sat_hook.domain.event_record import Event, RecordedEvent
from sat_hook.domain.printable import printable
from sat_hook.domain.rupiah import is_amount
from sat_hook.domain.same_order import differing_members
from sat_hook.protocol.errors import (
    MalformedKeyError,
    SignatureInvalidError,
    SignatureMissingError,
    UnreadableReplyError,
)
from sat_hook.protocol.messages import OrderDetail, parse_order
from sat_hook.protocol.signing import Padding, Verifier
from sat_hook.store.evidence import Evidence

SUCCESS, FAILED = "Success", "Failed"
# As the pipeline records it.
MAXIMUM_STATUS_CHARACTERS = 500
_STATUS_OF: dict[type[Event], str] = {
    happened.OrderSucceeded: SUCCESS,
    happened.ReversalDoubted: SUCCESS,
    happened.OrderFailed: FAILED,
    happened.OrderReversed: FAILED,
}
_ENDS = (happened.OrderSucceeded, happened.OrderFailed, happened.OrderReversed)
_AMOUNTS = ("sales_price_rupiah", "admin_fee_rupiah", "partner_fee_rupiah")
_Resting = happened.SignedStatus | happened.StatusMismatched


@dataclass(frozen=True, slots=True)
class SATKeys:
    """SAT's public keys, including all past ones, and since when some are withdrawn.

    :param withdrawn: fingerprint to time (aware): that key proves nothing that was recorded from then on.
    :param accounts: the accounts whose keys are all here; None: every account. A text of another account that
        none of these keys signed may be genuine, so it counts as unchecked.
    """

    verifiers: Sequence[Verifier]
    withdrawn: Mapping[str, datetime] = field(default_factory=dict)
    accounts: frozenset[str] | None = None

    @classmethod
    def from_pem(cls, pems: Sequence[bytes], withdrawn: Mapping[str, datetime] | None = None) -> SATKeys:
        """Load keys from PEM; a signature may have either padding.

        :raises MalformedKeyError: when one cannot be used, or a withdrawn one is not among them.
        """
        keys = cls([Verifier(pems, padding) for padding in Padding], withdrawn or {})
        keys.require_withdrawn()
        return keys

    def require_withdrawn(self) -> None:
        """:raises MalformedKeyError: a withdrawn key is not among the keys."""
        known = {name for verifier in self.verifiers for name in verifier.fingerprints}
        for name in self.withdrawn:
            if name not in known:
                raise MalformedKeyError(f"key {name!r} is withdrawn and not among SAT's: {sorted(known)}")

    def signer_of(self, body: bytes, signature: str) -> str | None:
        """The fingerprint of the key that signed the body; None when none did."""
        for verifier in self.verifiers:
            try:
                return verifier.verify(body, signature)
            except (SignatureInvalidError, SignatureMissingError):
                continue
        return None

    def are_all_of(self, account: str) -> bool:
        """Whether all keys that may have signed for the account are here."""
        return self.accounts is None or account in self.accounts

    def is_withdrawn(self, key: str, recorded_at: datetime) -> bool:
        """Whether the key was withdrawn at the time of recording."""
        since = self.withdrawn.get(key)
        return since is not None and recorded_at >= since


def withdrawn_from(texts: Iterable[str]) -> dict[str, datetime]:
    """Parse withdrawn keys: ``FINGERPRINT=TIME``, in Jakarta time unless it has an offset.

    :raises MalformedKeyError: for any other text.
    """
    withdrawn = {}
    for text in filter(None, (text.strip() for text in texts)):
        key, _, moment = text.partition("=")
        try:
            since = datetime.fromisoformat(moment.strip())
        except ValueError:
            raise MalformedKeyError(
                f"found {text!r}; expected FINGERPRINT=TIME, for example 0123456789abcdef=2026-11-23T14:30"
            ) from None
        withdrawn[key.strip()] = since if since.tzinfo else since.replace(tzinfo=WIB)
    return withdrawn


@dataclass(slots=True)
class StatusChecks:
    """Takes whole streams of events, looks up their texts in groups, and reports what does not match."""

    evidence: Evidence
    keys: SATKeys
    report: Report
    checked: int = 0
    unchecked: Counter[str] = field(default_factory=Counter)
    _resting: list[tuple[RecordedEvent, _Resting]] = field(default_factory=list)
    _sent: dict[str, happened.OrderReceived] = field(default_factory=dict)
    _began: tuple[str, happened.OrderReceived] | None = None

    @property
    def waiting(self) -> int:
        """How many events wait to be looked up."""
        return len(self._resting)

    def take(self, recorded: RecordedEvent, event: Event) -> None:
        """Take the next event of the log."""
        if isinstance(event, happened.OrderReceived):
            self._began = str(recorded.stream), event
        elif isinstance(event, happened.SignedStatus | happened.StatusMismatched):
            self._resting.append((recorded, event))
            if self._began is not None and self._began[0] == str(recorded.stream):
                self._sent[self._began[0]] = self._began[1]

    def look_up(self) -> None:
        """Check the taken events, after a whole stream."""
        self._load_orders()
        texts = self.evidence.signed_texts(list({event.evidence_digest for _, event in self._resting}))
        proven: dict[str, list[tuple[RecordedEvent, _Resting, str]]] = {}
        for recorded, event in self._resting:
            kept = texts.get(event.evidence_digest)
            if kept is None:
                continue  # the log verification reports it
            request_id, body, signature = kept
            signer = self.keys.signer_of(body.encode("utf-8"), signature)
            sent = self._sent.get(str(recorded.stream))
            if signer is None and sent is not None and not self.keys.are_all_of(sent.account):
                self.unchecked[sent.account] += 1
                continue
            self.checked += 1
            if self._is_proven(recorded, event, request_id, body, signer) and signer is not None:
                proven.setdefault(str(recorded.stream), []).append((recorded, event, signer))
        for of_stream in proven.values():
            self._check_withdrawn(of_stream)
        self._resting.clear()
        self._sent.clear()

    def look_at_callbacks(self) -> None:
        """Check the signature of every stored callback."""
        for account, digest, body, signature in self.evidence.callbacks():
            if self.keys.signer_of(body, signature) is not None:
                continue
            if self.keys.are_all_of(account):
                self._find(FindingKind.EVIDENCE_SIGNATURE, f"callback_inbox/{digest}", *_NOT_SIGNED)
            else:
                self.unchecked[account] += 1

    def _load_orders(self) -> None:
        missing = {str(recorded.stream) for recorded, _ in self._resting} - self._sent.keys()
        if not missing:
            return
        for stream, data in self.evidence.beginnings(sorted(missing)).items():
            try:
                self._sent[stream] = happened.OrderReceived.model_validate_json(data)
            except (ValidationError, UnknownEventError):
                continue  # the log verification reports it

    def _is_proven(
        self, recorded: RecordedEvent, event: _Resting, request_id: str, body: str, signer: str | None
    ) -> bool:
        """Whether a text proves the event; mismatches are reported."""
        if signer is None:
            self._find(FindingKind.EVIDENCE_SIGNATURE, recorded, *_NOT_SIGNED)
            return False
        try:
            told = parse_order(body.encode("utf-8"))
        except UnreadableReplyError as error:
            found = f"a text that is no status ({error})"
            self._find(FindingKind.EVIDENCE_CONTRADICTS, recorded, found, "a status of this order")
            return False
        wrong = list(_differences(recorded, event, request_id, told, self._sent.get(str(recorded.stream))))
        for found, expected in wrong:
            self._find(FindingKind.EVIDENCE_CONTRADICTS, recorded, found, expected)
        return not wrong

    def _check_withdrawn(self, proven: Sequence[tuple[RecordedEvent, _Resting, str]]) -> None:
        """Report the end of a stream if every text that proves it was signed with a withdrawn key."""
        ends = [item for item in proven if isinstance(item[1], _ENDS)]
        if not ends:
            return
        recorded, end, key = ends[-1]
        same = [item for item in proven if _STATUS_OF.get(type(item[1])) == _STATUS_OF[type(end)]]
        if all(self.keys.is_withdrawn(signer, placed.recorded_at) for placed, _, signer in same):
            since = self.keys.withdrawn[key].isoformat()
            found = f"an end that rests on key {key} alone, which is withdrawn since {since}"
            self._find(FindingKind.EVIDENCE_KEY_WITHDRAWN, recorded, found, "another signed status")

    def _find(self, kind: FindingKind, where: RecordedEvent | str, found: str, expected: str) -> None:
        self.report(Finding.at(kind, where, found, expected))


_NOT_SIGNED = ("a text that none of SAT's keys signed", "a signature of one of them")


def _differences(
    recorded: RecordedEvent,
    event: _Resting,
    request_id: str,
    told: OrderDetail,
    sent: happened.OrderReceived | None,
) -> Iterator[tuple[str, str]]:
    """How the text differs from the event: found, expected. Without customers' data."""
    if told.request_id != recorded.stream.key or request_id != recorded.stream.key:
        yield "a status of another request id", f"one of {recorded.stream.key}"
    expected = _STATUS_OF.get(type(event)) or _reported(event)
    if printable(told.status, MAXIMUM_STATUS_CHARACTERS) != expected:
        yield "a status with another word", expected
    if isinstance(event, happened.OrderPending) and told.status in (SUCCESS, FAILED):
        yield f"the status {told.status}", "one that ends nothing"
    if isinstance(event, happened.SignedStatus):
        for name in _AMOUNTS:
            found, ours = getattr(told, name), getattr(event, name)
            if found != ours and not (ours is None and found is not None and not is_amount(found)):
                yield f"{name} {found}", f"{ours}"
    members = getattr(event, "members", ())
    if sent is not None:
        differing = differing_members(
            sent.product_code, sent.client_number, told.product_code, told.client_number
        )
        if differing != tuple(members):
            yield f"a status that differs in {_named(differing)}", f"one that differs in {_named(members)}"


def _reported(event: Event) -> str:
    return str(getattr(event, "reported_status", ""))


def _named(members: Sequence[Any]) -> str:
    return " and ".join(map(str, members)) or "nothing"
