"""Telling people: asset events for other DAGs, and a notifier of the operator's choice.

Both read the book of alerts (:mod:`sat_hook.pipeline.alerting`). To raise an alert from a task of one's own::

    application = ApplicationHook(db_conn_id)
    raise_alerts(application.alerts, [Alert(key="price_jump/…", kind=AlertKind.PRICE_JUMP, …)])

Events of the log need nothing of the kind: :mod:`sat_hook.domain.alerts` says which of them are news.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from airflow.sdk import Asset, AssetAlias, BaseNotifier, BaseOperator, Context, Variable
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.alerts import Alert, AlertKind, AlertMessage, messages_of
from sat_hook.hooks.application_database import DEFAULT_CONNECTION, ApplicationHook
from sat_hook.pipeline.alerting import collect_alerts, tell_people

#: The Airflow Variable that names the notifier; ``AIRFLOW_VAR_SAT_ALERTS`` in the environment does the same.
NOTIFIER_VARIABLE = "sat_alerts"
ALERTS = AssetAlias("sat_alerts", group="sat")
#: The XCom that holds the keys of the alerts that were announced.
ANNOUNCED = "announced"
# Their keys are an XCom; the next run announces the others.
ANNOUNCED_AT_ONCE = 1000


class NotifierConfigurationError(ValueError):
    """The variable does not say which notifier to call, or with what."""


def asset_of(kind: AlertKind) -> Asset:
    """The asset whose events are the alerts of one kind: ``sat://alerts/order_escalated`` and so on."""
    return Asset(name=f"sat_alerts_{kind.value}", uri=f"sat://alerts/{kind.value}", group="sat")


class SATCollectAlertsOperator(BaseOperator):
    """Note what the log has to tell since the last run, and raise an asset event for each kind of it.

    The events' extra: ``alerts`` (their number), ``accounts``, ``batches`` and the message's ``text``, as far
    as it goes. An asset event is raised for each alert, whether or not a notifier takes it. Airflow takes it
    together with this task's success; only then may :class:`SATSettleAnnouncedOperator` put down that it was,
    whom the keys are handed to as XCom ``announced``. Until then the next run raises it again.

    :param db_conn_id: the application database's connection.
    """

    ui_color = "#f3ead9"

    def __init__(self, *, db_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**{"outlets": [ALERTS], **kwargs})
        self.db_conn_id = db_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """One round; returns how many alerts of each kind were announced."""
        application = ApplicationHook(self.db_conn_id, "sat alerts")
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


class SATSettleAnnouncedOperator(BaseOperator):
    """Put down which alerts have their asset event, after the task that raised them has succeeded.

    :param keys: XCom ``announced`` of :class:`SATCollectAlertsOperator` (templated).
    :param db_conn_id: the application database's connection.
    """

    template_fields: Sequence[str] = ("keys",)
    ui_color = "#f3ead9"

    def __init__(self, *, keys: Any, db_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keys = keys
        self.db_conn_id = db_conn_id

    def execute(self, context: Context) -> int:
        """Returns how many alerts there were."""
        del context
        application = ApplicationHook(self.db_conn_id, "sat alerts")
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


class SATNotifyOperator(BaseOperator):
    """Tell people what they were not told yet, through the notifier that the variable ``sat_alerts`` names.

    The variable holds JSON: ``{"notifier": "import.path.of.a.BaseNotifier", "kwargs": {…}}``. The notifier's
    templated arguments may use ``{{ alert.subject }}``, ``{{ alert.text }}``, ``{{ alert.kind }}``,
    ``{{ alert.account }}`` and ``{{ alert.count }}``. Without the variable everything is a warning in this
    task's log. What a notifier does not take is tried again by later runs; the task then fails, and nothing
    but this task.

    :param db_conn_id: the application database's connection.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#f3ead9"

    def __init__(self, *, db_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.db_conn_id = db_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """One round; returns how many alerts were told, and by how many messages."""
        application = ApplicationHook(self.db_conn_id, "sat alerts")
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
            # A copy: notifiers write their fields into what they are given.
            notifier(Context(**{**context, "alert": message}))  # type: ignore[typeddict-unknown-key]

        report = tell_people(
            application.alerts,
            application.handler.clock,
            send,
            application.settings.alerting,
            reaches_people=reaches_people,
        )
        whom = "Told people" if reaches_people else "No notifier is set, so this log alone tells"
        self.log.info("%s of %s alerts by %s messages.", whom, report.told, report.messages)
        if report.trouble:
            trouble = "; ".join(report.trouble[:5])
            raise AirflowFailException(
                f"{report.not_told} alerts were not told and will be tried again: {trouble}"
            )
        return {"told": report.told, "messages": report.messages}


def notifier_of(configuration: Any) -> BaseNotifier | None:
    """A notifier as the variable says, made anew for each message; None when there is none.

    :raises NotifierConfigurationError: when it names none that can be made.
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
    path, kwargs = configuration["notifier"], configuration.get("kwargs") or {}
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotifierConfigurationError(
            f"variable {NOTIFIER_VARIABLE}: {path} cannot be imported ({type(error).__name__})"
        ) from error
    # Looked at before it is called: whoever may set a variable may not call whatever is installed.
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise NotifierConfigurationError(f"variable {NOTIFIER_VARIABLE}: {path} is no notifier")
    try:
        return found(**kwargs)
    except Exception as error:
        raise NotifierConfigurationError(
            f"variable {NOTIFIER_VARIABLE}: {path} cannot be made with these kwargs ({type(error).__name__})"
        ) from error
