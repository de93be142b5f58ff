"""A deployment's settings from environment variables, read once for a task, trigger, app or command."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sat_hook.application.errors import BadLimitError
from sat_hook.pipeline.limits import (
    AlertingLimits,
    ClaimLimits,
    ExecutionLimits,
    FileLimits,
    FundingLimits,
    PollingLimits,
    QuotingLimits,
    RecheckLimits,
    RecoveryLimits,
    WebhookLimits,
)

PREFIX = "SAT_"
NOT_BY_VARIABLE = frozenset({"days"})
"""Members that are not a single number; a task's parameter sets them."""


class DeploymentSettings(BaseSettings):
    """A deployment's places and limits. An empty variable is not set.

    ``SAT_<GROUP>_<NAME>`` sets a limit. A caller's value takes precedence: a run's parameter, or a
    connection's own setting.

    :param accounts: the connections that scheduled DAGs work for, separated by commas.
    :param rights_file: see :mod:`sat_hook.application.rights`.
    :param webhook_networks: see :mod:`sat_hook.clients.webhooks`.
    :param retention_file: see :mod:`sat_hook.application.retention_policy`.
    :param receiver_config: the receiver's file, see :mod:`sat_hook.receiver.settings`.
    :param metrics_token_file: the tokens of scrapers, one a line; without it there is no page to scrape.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
        frozen=True,
    )

    accounts: str = ""
    spool_uri: str = ""
    results_uri: str = ""
    archive_uri: str = ""
    settlements_uri: str = ""
    checkpoints_uri: str = ""
    rights_file: str = ""
    rights_from_auth_manager: bool = False
    receiver_config: str = ""
    webhook_networks: str = ""
    metrics_token_file: str = ""
    retention_file: str = ""
    receiver_dsn: SecretStr = SecretStr("")

    maximum: FileLimits = FileLimits()
    claim: ClaimLimits = ClaimLimits()
    execution: ExecutionLimits = ExecutionLimits()
    quoting: QuotingLimits = QuotingLimits()
    funding: FundingLimits = FundingLimits()
    recovery: RecoveryLimits = RecoveryLimits()
    polling: PollingLimits = PollingLimits()
    final_watch: RecheckLimits = RecheckLimits()
    alerting: AlertingLimits = AlertingLimits()
    webhooks: WebhookLimits = WebhookLimits()

    @field_validator("*", mode="before")
    @classmethod
    def _stripped(cls, group: Any) -> Any:
        if isinstance(group, str):
            return group.strip()
        if not isinstance(group, dict):
            return group
        return {name: text.strip() for name, text in group.items() if text.strip()}


def read_settings() -> DeploymentSettings:
    """The settings of this process.

    :raises BadLimitError: for a value that is not a number above zero, or not a whole number where the limit
        is one, and for a misspelled variable.
    """
    try:
        return DeploymentSettings()
    except ValidationError as error:
        raise BadLimitError(_in_words(error)) from None


def variables() -> set[str]:
    """The name of every variable that sets a limit."""
    return {
        f"{PREFIX}{group}_{member.name}".upper()
        for group, field in DeploymentSettings.model_fields.items()
        if is_dataclass(field.default)
        for member in fields(field.default)
        if member.name not in NOT_BY_VARIABLE
    }


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    group, *member = (str(part) for part in first["loc"])
    variable = "_".join((PREFIX.rstrip("_"), group, *member)).upper()
    if not member:
        return f"environment variable {variable}: found {first['input']!r}; expected true or false"
    if variable not in variables():
        mine = sorted(name for name in variables() if name.startswith(f"{PREFIX}{group}_".upper()))
        return f"environment variable {variable}: no such limit; there are {mine}"
    default = getattr(DeploymentSettings.model_fields[group].default, member[0])
    expected = "a whole number" if isinstance(default, int) else "a number"
    found = os.environ.get(variable, first["input"])
    return f"environment variable {variable}: found {found!r}; expected {expected} above 0"
