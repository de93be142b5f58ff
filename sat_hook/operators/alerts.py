"""Alerts: asset events for other DAGs, and a notifier that the operator chooses.

Both read the alerts noted by :mod:`sat_hook.pipeline.alerting`. To raise an alert from your own task::

    application = ApplicationHook(db_conn_id)
    application.alerts.add([Alert(key="price_jump/…", kind=AlertKind.PRICE_JUMP, …)])

Events of the log need no call: :mod:`sat_hook.domain.alerts` says which of them raise an alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Asset, AssetAlias, BaseNotifier, Context, Variable
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.alerts import Alert, AlertKind, AlertMessage, messages_of
from sat_hook.domain.notifications import Choice, DigestMessage
from sat_hook.hooks.channels import channels, made_notifier
from sat_hook.hooks.errors import NotifierConfigurationError
from sat_hook.operators.base import DatabaseOperator
from sat_hook.pipeline.alerting import TellingReport, collect_alerts, tell_people
from sat_hook.pipeline.notifications import SendTo, send_digests, tell_users
from sat_hook.store.notifications import NotificationBook
from sat_hook.store.order_lists import OrderLists

#: The Airflow Variable that names the notifier; or set ``AIRFLOW_VAR_SAT_ALERTS`` in the environment.
NOTIFIER_VARIABLE = "sat_alerts"
ALERTS = AssetAlias("sat_alerts", group="sat")
#: The XCom that holds the keys of the alerts that were announced.
ANNOUNCED = "announced"
# Their keys are an XCom; the next run announces the others.
ANNOUNCED_AT_ONCE = 1000


def asset_of(kind: AlertKind) -> Asset:
    """The asset whose events are the alerts of one kind: ``sat://alerts/order_escalated`` and so on."""
    return Asset(name=f"sat_alerts_{kind.value}", uri=f"sat://alerts/{kind.value}", group="sat")


class SATCollectAlertsOperator(DatabaseOperator):
    """Note the alerts since the last run, and raise an asset event for each kind.

    The events' extra: ``alerts`` (their number), ``accounts``, ``batches`` and the message's ``text``, which
    may be cut. Every alert is part of an asset event, whether or not a notifier accepts it. Airflow stores
    the event together with this task's success; only then may :class:`SATSettleAnnouncedOperator`, which gets
    the keys as XCom ``announced``, record it. Until then the next run raises it again.
    """

    ui_color = "#f3ead9"
    component = "sat alerts"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"outlets": [ALERTS], **kwargs})

    def execute(self, context: Context) -> dict[str, int]:
        """Run one round; return how many alerts of each kind were announced."""
        application = self.application
        book = application.alerts
        collect_alerts(application.store, book, application.settings.alerting)
        alerts = book.unannounced(ANNOUNCED_AT_ONCE)
        announced: dict[str, int] = {}
        by_kind: dict[AlertKind, list[Alert]] = {}
        for alert in alerts:
            by_kind.setdefault(alert.kind, []).append(alert)
        for kind, group in by_kind.items():
            context["outlet_events"][ALERTS].add(asset_of(kind), extra=_extra(group))
            announced[kind.value] = len(group)
        context["ti"].xcom_push(ANNOUNCED, [alert.key for alert in alerts])
        self.log.info("New: %s.", announced or "nothing")
        return announced


class SATSettleAnnouncedOperator(DatabaseOperator):
    """Record which alerts have their asset event, after the task that raised them has succeeded.

    :param keys: XCom ``announced`` of :class:`SATCollectAlertsOperator` (templated).
    """

    template_fields: Sequence[str] = ("keys",)
    ui_color = "#f3ead9"
    component = "sat alerts"

    def __init__(self, *, keys: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keys = keys

    def execute(self, context: Context) -> int:
        """Record them; return how many alerts there were."""
        del context
        application = self.application
        keys = [str(key) for key in self.keys or ()]
        application.alerts.settle_announced(keys, application.handler.clock.now())
        return len(keys)


def _extra(alerts: list[Alert]) -> dict[str, Any]:
    return {
        "alerts": len(alerts),
        "accounts": sorted({alert.account for alert in alerts})[:20],
        "batches": sorted({alert.batch_id for alert in alerts if alert.batch_id})[:20],
        "texts": [message.text for message, _ in messages_of(alerts)][:5],
    }


class SATNotifyOperator(DatabaseOperator):
    """Send the alerts that were not sent yet, through the notifier that the variable ``sat_alerts`` names.

    The variable holds JSON: ``{"notifier": "import.path.of.a.BaseNotifier", "kwargs": {…}}``. The notifier's
    templated arguments may use ``{{ alert.subject }}``, ``{{ alert.text }}``, ``{{ alert.kind }}``,
    ``{{ alert.account }}`` and ``{{ alert.count }}``. Without the variable every alert is a warning in this
    task's log. When a notifier fails, only this task fails, and later runs try the message again.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#f3ead9"
    component = "sat alerts"

    def execute(self, context: Context) -> dict[str, int]:
        """Run one round; return how many alerts were sent, and in how many messages."""
        application = self.application
        configuration = Variable.get(NOTIFIER_VARIABLE, default=None, deserialize_json=True)
        try:
            reaches_people = notifier_of(configuration) is not None
        except NotifierConfigurationError as error:
            raise AirflowFailException(str(error)) from error

        def send(message: AlertMessage) -> None:
            notifier = notifier_of(configuration)
            if notifier is None:
                self.log.warning("%s\n%s", message.subject, message.text)
                return
            # A copy: notifiers write their fields into the context.
            notifier(Context(**{**context, "alert": message}))  # type: ignore[typeddict-unknown-key]

        report = tell_people(
            application.alerts,
            application.handler.clock,
            send,
            application.settings.alerting,
            reaches_people=reaches_people,
        )
        whom = "Told people" if reaches_people else "No notifier is set, so this log alone tells"
        return _told(self, report, whom)


class SATTellUsersOperator(DatabaseOperator):
    """Tell users what they chose to be told of, through the channels of the variable ``sat_channels``.

    A channel that fails costs only its own messages: this task fails, and its next run tries them again.

    :param is_digest: send the morning's digests, instead of what is to be sent at once.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#f3ead9"
    component = "sat alerts"

    def __init__(self, *, is_digest: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_digest = is_digest

    def execute(self, context: Context) -> dict[str, int]:
        """Run one round; return how many alerts were sent, and in how many messages."""
        application = self.application
        book, clock = NotificationBook(application.database), application.handler.clock
        send = _sender(context)
        if self.is_digest:
            waiting = [
                f"{one.account}: {one.orders} {one.state.value} orders"
                for one in OrderLists(application.database).orders_for_people()
            ]
            report = send_digests(book, clock, send, waiting)
        else:
            report = tell_users(book, clock, send)
        return _told(self, report, "Told users")


def _sender(context: Context) -> SendTo:
    try:
        known = channels()
    except NotifierConfigurationError as error:
        raise AirflowFailException(str(error)) from error

    def send(choice: Choice, message: AlertMessage | DigestMessage) -> None:
        if choice.channel not in known:
            raise NotifierConfigurationError(f"channel {choice.channel}: it is not in the variable any more")
        user = {"name": choice.user, "address": choice.address}
        # A copy: notifiers write their fields into the context.
        values = {**context, "alert": message, "user": user}
        known[choice.channel].notifier()(Context(**values))  # type: ignore[typeddict-item]

    return send


def _told(task: DatabaseOperator, report: TellingReport, whom: str) -> dict[str, int]:
    task.log.info("%s of %s alerts by %s messages.", whom, report.told, report.messages)
    if report.trouble:
        trouble = "; ".join(report.trouble[:5])
        told = f"{report.not_told} alerts were not told and will be tried again: {trouble}"
        raise AirflowFailException(told)
    return {"told": report.told, "messages": report.messages}


def notifier_of(configuration: Any) -> BaseNotifier | None:
    """The notifier that the variable names, a new one for each message; None without the variable.

    :raises NotifierConfigurationError: when it does not name a notifier that can be created.
    """
    if configuration is None:
        return None
    if not isinstance(configuration, dict) or not isinstance(configuration.get("notifier"), str):
        raise NotifierConfigurationError(
            f"variable {NOTIFIER_VARIABLE}: expected an object with notifier and kwargs"
        )
    unknown = configuration.keys() - {"notifier", "kwargs"}
    if unknown:
        raise NotifierConfigurationError(
            f"variable {NOTIFIER_VARIABLE}: unknown {', '.join(sorted(unknown))}"
        )
    return made_notifier(configuration, f"variable {NOTIFIER_VARIABLE}")
