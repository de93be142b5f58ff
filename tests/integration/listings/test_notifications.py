"""Notifications: users choose, channels take or refuse, people acknowledge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from sat_hook.application.attention import NeedKind
from sat_hook.application.audit_log import AuditLog, LogQuery
from sat_hook.application.errors import RightMissingError
from sat_hook.application.notifications import Notifications
from sat_hook.application.rights import Person, Right
from sat_hook.commands.errors import ReasonRefusedError
from sat_hook.domain.alerts import Alert, AlertKind, AlertMessage
from sat_hook.domain.errors import NotificationRefusedError
from sat_hook.domain.notifications import Choice, DigestMessage
from sat_hook.pipeline.alerting import tell_people
from sat_hook.pipeline.limits import AlertingLimits
from sat_hook.pipeline.notifications import send_digests, tell_users
from sat_hook.store.alerts import AlertBook
from sat_hook.store.notifications import NotificationBook
from stack.databases import ApplicationDatabase
from tests.integration.listings.conftest import Office, office_in
from tests.orders import ACCOUNT, ManualClock
from tests.web_host import FakeHost, FakeUser, client_of

VERA = Person("vera", frozenset({Right.VIEW}))
CARL = Person("carl", frozenset({Right.VIEW, Right.DECIDE}))
AUDITOR = Person("audi", frozenset({Right.VIEW, Right.AUDIT}))
NOBODY = Person("nemo", frozenset(Right) - {Right.VIEW})
JUMP, BREAK = AlertKind.PRICE_JUMP, AlertKind.RECONCILIATION_BREAK
MAIL = "vera@example.com"


@dataclass
class Desk:
    """Alerts, the choices of users, and channels that can be out of order."""

    office: Office
    clock: ManualClock = field(default_factory=lambda: ManualClock(datetime.now(UTC)))
    sent: list[tuple[str, str, AlertMessage | DigestMessage]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    @property
    def notifications(self) -> Notifications:
        """What people see."""
        return Notifications(self.office.lists.installation)

    @property
    def book(self) -> NotificationBook:
        """The tables."""
        return NotificationBook(self.office.store.database)

    @property
    def alerts(self) -> AlertBook:
        """The alerts."""
        return AlertBook(self.office.store.database)

    def raise_(self, *kinds: AlertKind) -> list[str]:
        """New alerts; returns their keys."""
        number = len(self.alerts.recent(1_000))
        made = [
            Alert(
                f"{kind.value}/{number + place}", kind, ACCOUNT, f"text {number + place}", datetime.now(UTC)
            )
            for place, kind in enumerate(kinds)
        ]
        self.alerts.add(made)
        return [alert.key for alert in made]

    def send(self, choice: Choice, message: AlertMessage | DigestMessage) -> None:
        """Take a message, unless the channel is out of order."""
        if choice.channel in self.broken:
            raise ConnectionError(choice.address)
        self.sent.append((choice.user, choice.channel, message))


@pytest.fixture
def desk(database: ApplicationDatabase) -> Iterator[Desk]:
    """An office without alerts."""
    with office_in(database) as office:
        yield Desk(office)


def test_a_user_is_told_once_of_what_the_user_chose(desk: Desk) -> None:
    """Not of other kinds, nor of what was raised before the choice; one message for a kind and an account."""
    desk.raise_(JUMP)
    desk.notifications.choose("mail", f" {MAIL} ", {JUMP}, VERA, is_digest=False)
    new = desk.raise_(JUMP, BREAK, JUMP)
    for _ in range(2):
        report = tell_users(desk.book, desk.clock, desk.send)
    assert (report.told, report.messages) == (0, 0)
    [(user, channel, message)] = desk.sent
    assert (user, channel, message.count, message.kind) == ("vera", "mail", 2, JUMP)
    told = {seen.told.alert.key: seen.told.was_told for seen in desk.notifications.alerts(VERA).items}
    assert [told[key] for key in new] == [True, False, True]


def test_an_alert_is_told_only_when_a_channel_took_it(desk: Desk) -> None:
    """A channel that fails costs its own user's messages until it works again; others are not delayed."""
    desk.notifications.choose("mail", MAIL, {JUMP, BREAK}, VERA, is_digest=False)
    desk.notifications.choose("slack", "", {JUMP}, CARL, is_digest=False)
    jump, broken = desk.raise_(JUMP, BREAK)
    tell_people(desk.alerts, desk.clock, lambda _: None, AlertingLimits(), reaches_people=False)
    assert not any(told.was_told for told in desk.alerts.recent())
    desk.broken.add("mail")
    report = tell_users(desk.book, desk.clock, desk.send)
    assert (report.told, report.not_told) == (1, 2)
    assert report.trouble == ["vera on mail: ConnectionError"]
    told = {told.alert.key: told.was_told for told in desk.alerts.recent()}
    assert told == {jump: True, broken: False}
    desk.broken.clear()
    assert tell_users(desk.book, desk.clock, desk.send).told == 2
    assert all(told.was_told for told in desk.alerts.recent())
    [seen, _] = desk.notifications.alerts(VERA).items[::-1]
    assert (seen.told.alert.key, seen.channels) == (jump, ["mail", "slack"])


def test_the_notifier_of_all_alerts_is_not_kept_from_sending(desk: Desk) -> None:
    """A user's channel that took an alert first leaves it to be sent by the notifier of all, too."""
    desk.notifications.choose("mail", MAIL, {JUMP}, VERA, is_digest=False)
    desk.raise_(JUMP)
    tell_users(desk.book, desk.clock, desk.send)
    assert tell_people(desk.alerts, desk.clock, lambda _: None, AlertingLimits()).told == 1


def test_a_refused_alert_is_not_tried_for_ever(desk: Desk) -> None:
    """After seven days it is old news; it stays on the page as one that reached no one."""
    desk.notifications.choose("mail", MAIL, {JUMP}, VERA, is_digest=False)
    desk.raise_(JUMP)
    desk.clock.advance(timedelta(days=7, minutes=1).total_seconds())
    assert tell_users(desk.book, desk.clock, desk.send).told == 0
    [seen] = desk.notifications.alerts(VERA).items
    assert not seen.told.was_told


def test_a_digest_has_what_is_new_and_what_waits(desk: Desk) -> None:
    """Once; a quiet morning has one, too; a digest is not sent again at once."""
    desk.notifications.choose("mail", MAIL, {JUMP, BREAK}, VERA, is_digest=True)
    desk.notifications.choose("slack", "", {JUMP}, CARL, is_digest=False)
    desk.raise_(JUMP, BREAK, JUMP)
    assert tell_users(desk.book, desk.clock, desk.send).told == 2
    desk.sent.clear()
    for _ in range(2):
        send_digests(desk.book, desk.clock, desk.send, [f"{ACCOUNT}: 3 held orders"])
    [(user, _, first), (_, _, second)] = desk.sent
    assert (user, first.count, second.count) == ("vera", 3, 0)
    assert f"{ACCOUNT}: 2 jumps of product prices" in first.text
    assert "3 held orders" in first.text
    assert "No new alert." in second.text


def test_a_choice_is_the_user_s_own_and_is_checked(desk: Desk) -> None:
    """An address of the channel's form, a channel that exists; without a kind nothing is kept."""
    notifications = desk.notifications
    for channel, address, text in (
        ("mail", "vera@elsewhere.example", "expected"),
        ("mail", "", "expected"),
        ("mail", "vera@example.com\nBcc: x@example.com", "one line"),
        ("pigeon", "", "expected one of mail, slack"),
    ):
        with pytest.raises(NotificationRefusedError, match=text):
            notifications.choose(channel, address, {JUMP}, VERA, is_digest=False)
    notifications.choose("mail", MAIL, {JUMP}, VERA, is_digest=False)
    assert [choice.address for choice in notifications.choices(VERA)] == [MAIL]
    assert notifications.choices(CARL) == ()
    notifications.choose("mail", MAIL, set(), VERA, is_digest=False)
    assert notifications.choices(VERA) == ()


def test_acknowledging_is_an_act_with_a_reason(desk: Desk) -> None:
    """Who, when and why are in the log; an alert that is acknowledged needs no person any more."""
    first, second = desk.raise_(JUMP, BREAK)
    assert NeedKind.ALERTS in {need.kind for need in desk.office.lists.needs_you(VERA)}
    with pytest.raises(ReasonRefusedError):
        desk.notifications.acknowledge([first], " ", CARL)
    assert desk.notifications.acknowledge([first, first], "SAT confirmed 081211311111", CARL) == 1
    assert desk.notifications.acknowledge([first, second], "both seen", CARL) == 1
    assert NeedKind.ALERTS not in {need.kind for need in desk.office.lists.needs_you(VERA)}
    assert desk.notifications.alerts(VERA).items == ()
    seen = desk.notifications.alerts(VERA, only_open=False, kinds=[JUMP]).items
    assert [(one.told.alert.key, one.acknowledged_by) for one in seen] == [(first, "carl")]
    act = AuditLog(desk.office.lists.installation).acts(LogQuery(user="carl"), AUDITOR).items[-1]
    assert act.event.entry.parameters == {"alerts": [first], "reason": "SAT confirmed ***"}
    for keys in ([], [f"key/{number}" for number in range(201)]):
        with pytest.raises(NotificationRefusedError, match="expected 1 to 200"):
            desk.notifications.acknowledge(keys, "a reason", CARL)


def test_alerts_come_in_pages(desk: Desk) -> None:
    """Each once, the newest first."""
    keys = desk.raise_(*[JUMP] * 5)
    found, cursor = [], None
    while True:
        page = desk.notifications.alerts(VERA, account=ACCOUNT, cursor=cursor, limit=2)
        found += [seen.told.alert.key for seen in page.items]
        if page.next is None:
            break
        cursor = page.next
    assert found == keys[::-1]


def test_rights_are_needed(desk: Desk) -> None:
    """To see anything, and another one to acknowledge for everyone."""
    for act in (
        lambda: desk.notifications.alerts(NOBODY),
        lambda: desk.notifications.channels(NOBODY),
        lambda: desk.notifications.choices(NOBODY),
        lambda: desk.notifications.choose("slack", "", {JUMP}, NOBODY, is_digest=False),
        lambda: desk.notifications.acknowledge(["x"], "a reason", VERA),
    ):
        with pytest.raises(RightMissingError):
            act()


async def test_programs_choose_and_acknowledge(desk: Desk) -> None:
    """As the pages do: a user's own choices, and alerts that someone has seen to."""
    (key,) = desk.raise_(JUMP)
    host = desk.office.lists.installation
    assert isinstance(host, FakeHost)
    host.users = {"vera": FakeUser("vera", VERA.rights), "carl": FakeUser("carl", CARL.rights)}
    async with client_of(host) as client:
        vera, carl = ({"authorization": f"Bearer {name}"} for name in ("vera", "carl"))
        wanted = {"channel": "mail", "address": MAIL, "kinds": [JUMP.value]}
        chosen = await client.post("/notifications", json=wanted, headers=vera)
        assert (chosen.status_code, chosen.json()["kinds"]) == (200, [JUMP.value]), chosen.text
        assert (await client.get("/notifications", headers=vera)).json()["choices"] == [chosen.json()]
        assert (await client.get("/notifications", headers=carl)).json()["choices"] == []
        odd = await client.post("/notifications", json={**wanted, "channel": "pigeon"}, headers=vera)
        assert (odd.status_code, odd.json()["type"]) == (422, "notification_refused")
        seen = {"keys": [key], "reason": "asked the supplier"}
        assert (await client.post("/alerts/acknowledge", json=seen, headers=vera)).status_code == 403
        answer = await client.post("/alerts/acknowledge", json=seen, headers=carl)
        assert answer.json() == {"acknowledged": 1}, answer.text
