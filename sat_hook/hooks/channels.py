"""Channels by which users are told of alerts: Airflow notifiers that the Variable ``sat_channels`` names.

The Variable holds JSON: a name for each channel, with the import path of a notifier, its arguments, and what
addresses look like there. Templated arguments may use ``{{ alert.subject }}``, ``{{ alert.text }}``,
``{{ alert.kind }}``, ``{{ alert.account }}``, ``{{ alert.count }}``, ``{{ user.name }}`` and
``{{ user.address }}``::

    {"mail": {"notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
              "kwargs": {"to": "{{ user.address }}", "subject": "{{ alert.subject }}",
                         "html_content": "<pre>{{ alert.text | e }}</pre>"},
              "address_pattern": "[^@ ]+@example[.]com"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from airflow.sdk import BaseNotifier, Variable

from sat_hook.hooks.errors import NotifierConfigurationError

CHANNELS_VARIABLE = "sat_channels"
_MEMBERS = frozenset({"notifier", "kwargs", "address_pattern"})


@dataclass(frozen=True, slots=True)
class AirflowChannel:
    """A channel as the Variable has it."""

    name: str
    configuration: Mapping[str, Any]

    @property
    def address_pattern(self) -> str:
        """What a user's address looks like there; empty where the channel needs none."""
        return str(self.configuration.get("address_pattern") or "")

    def notifier(self) -> BaseNotifier:
        """A new notifier, for one message.

        :raises NotifierConfigurationError: it cannot be created.
        """
        return made_notifier(self.configuration, f"variable {CHANNELS_VARIABLE}: channel {self.name}")


def channels() -> dict[str, AirflowChannel]:
    """The channels of the deployment, by name; none without the Variable.

    :raises NotifierConfigurationError: the Variable is no object of channels.
    """
    configured = Variable.get(CHANNELS_VARIABLE, default=None, deserialize_json=True)
    if configured is None:
        return {}
    if not isinstance(configured, dict):
        raise NotifierConfigurationError(f"variable {CHANNELS_VARIABLE}: expected an object of channels")
    for name, configuration in configured.items():
        if not isinstance(configuration, dict) or not isinstance(configuration.get("notifier"), str):
            raise NotifierConfigurationError(
                f"variable {CHANNELS_VARIABLE}: channel {name}: expected an object with notifier and kwargs"
            )
        if unknown := configuration.keys() - _MEMBERS:
            raise NotifierConfigurationError(
                f"variable {CHANNELS_VARIABLE}: channel {name}: unknown {', '.join(sorted(unknown))}"
            )
    return {name: AirflowChannel(name, configuration) for name, configuration in configured.items()}


def made_notifier(configuration: Mapping[str, Any], place: str) -> BaseNotifier:
    """The notifier of a configuration.

    :param place: for the error's text.
    :raises NotifierConfigurationError: it cannot be created.
    """
    path, kwargs = configuration["notifier"], configuration.get("kwargs") or {}
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotifierConfigurationError(
            f"{place}: {path} cannot be imported ({type(error).__name__})"
        ) from error
    # Check the class before calling it: a user who may set a variable must not call arbitrary code.
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise NotifierConfigurationError(f"{place}: {path} is no notifier")
    try:
        return found(**kwargs)
    except Exception as error:
        raise NotifierConfigurationError(
            f"{place}: {path} cannot be made with these kwargs ({type(error).__name__})"
        ) from error
