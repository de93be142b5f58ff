"""Limits that a deployment sets by environment variables."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import is_dataclass

import pytest

from sat_hook.application.errors import BadLimitError
from sat_hook.application.ports import StepLimits
from sat_hook.application.settings import DeploymentSettings, read_settings, variables
from sat_hook.clients.settings import AccountSettings
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.operators.accounts import accounts_of_installation
from sat_hook.pipeline.limits import ExecutionLimits, RecheckLimits
from sat_hook.protocol.endpoints import Environment


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("SAT_")]:
        monkeypatch.delenv(variable)


def read_with(monkeypatch: pytest.MonkeyPatch, **environment: str) -> DeploymentSettings:
    """The settings of a process with these variables."""
    for variable, text in environment.items():
        monkeypatch.setenv(variable, text)
    return read_settings()


def test_nothing_set_leaves_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is one that is not set."""
    settings = read_with(monkeypatch, SAT_EXECUTION_IN_FLIGHT=" ", SAT_FINAL_WATCH_HOUR="")
    assert (settings.execution, settings.final_watch) == (ExecutionLimits(), RecheckLimits())


def test_each_variable_sets_its_limit_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name has in common with another one; a limit in code stays as it is."""
    default = read_settings()
    for variable in sorted(variables()):
        monkeypatch.setenv(variable, "3")
        changed = {
            f"SAT_{group}_{name}".upper(): value
            for group, field in DeploymentSettings.model_fields.items()
            if is_dataclass(field.default)
            for name, value in vars_of(read_settings(), group).items()
            if value != vars_of(default, group)[name]
        }
        # A default that is 3 already is no change.
        assert changed in ({variable: 3}, {}), variable
        monkeypatch.delenv(variable)
    assert ExecutionLimits().in_flight == default.execution.in_flight


def vars_of(settings: DeploymentSettings, group: str) -> dict[str, object]:
    """A group's limits by name."""
    limits = getattr(settings, group)
    return {name: getattr(limits, name) for name in type(limits).__slots__}


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "nan", "inf", "1e400", "true", "[3]"])
def test_what_is_no_such_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """With the variable, what was found, and what was expected."""
    with pytest.raises(BadLimitError) as refused:
        read_with(monkeypatch, SAT_EXECUTION_IN_FLIGHT=text)
    assert str(refused.value) == (
        f"environment variable SAT_EXECUTION_IN_FLIGHT: found {text!r}; expected a whole number above 0"
    )


@pytest.mark.parametrize("text", ["soon", "0", "-0.1", "nan", "inf"])
def test_seconds_are_finite_and_above_zero(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A fraction is welcome, nonsense is not."""
    assert read_with(monkeypatch, SAT_POLLING_GROWTH="1.25").polling.growth == 1.25
    with pytest.raises(BadLimitError, match=r"SAT_POLLING_GROWTH: found .*expected a number above 0"):
        read_with(monkeypatch, SAT_POLLING_GROWTH=text)


@pytest.mark.parametrize(
    "variable", ["SAT_EXECUTION_IN_FLIHGT", "SAT_MAXIMUM_ROW", "SAT_CLAIM_LEASE", "SAT_FINAL_WATCH_DAYS"]
)
def test_a_misspelled_limit_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """A limit that is none is refused. The days of rechecks are no single number."""
    with pytest.raises(BadLimitError, match=f"{variable}: no such limit; there are"):
        read_with(monkeypatch, **{variable: "3"})


def test_other_variables_are_not_ours_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefix is shared with addresses, folders and secrets."""
    assert read_with(monkeypatch, SAT_OWNER_DSN="dbname=x", SAT_FINAL="3") == DeploymentSettings()


def test_a_switch_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one is off."""
    assert not read_with(monkeypatch, SAT_RIGHTS_FROM_AUTH_MANAGER="").rights_from_auth_manager
    with pytest.raises(BadLimitError, match="AUTH_MANAGER: found 'maybe'; expected true or false"):
        read_with(monkeypatch, SAT_RIGHTS_FROM_AUTH_MANAGER="maybe")


def test_places_are_the_deployments_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without surrounding blanks, and a DSN without its text."""
    settings = read_with(
        monkeypatch, SAT_SPOOL_URI=" file:///spool ", SAT_RECEIVER_DSN="password=very-secret"
    )
    assert (settings.spool_uri, settings.results_uri) == ("file:///spool", "")
    assert "very-secret" not in repr(settings)


def test_a_connection_counts_more_than_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how many calls of its account are under way; the rest is the deployment's."""
    deployment = read_with(
        monkeypatch,
        SAT_EXECUTION_IN_FLIGHT="99",
        SAT_EXECUTION_FAILURES_TO_STOP="50",
        SAT_MAXIMUM_ROWS="7",
        SAT_CLAIM_LEASE_SECONDS="60",
        SAT_QUOTING_TRIES="2",
    )
    connection = AccountSettings(
        account="a", environment=Environment.PLAYGROUND, client_id="c", client_secret="s", max_in_flight=5
    )
    limits = StepLimits.of(deployment, connection)
    assert (limits.execution.in_flight, limits.execution.failures_to_stop) == (5, 50)
    assert (limits.files.rows, limits.claims.lease_seconds, limits.quoting.tries) == (7, 60, 2)


@pytest.mark.parametrize("begin", [ApplicationHook, accounts_of_installation])
def test_a_wrong_limit_stops_airflows_processes(
    monkeypatch: pytest.MonkeyPatch, begin: Callable[[], object]
) -> None:
    """Tasks, triggers and DAG files fail at once, before anything is sent."""
    monkeypatch.setenv("SAT_RECOVERY_ATTEMPTS", "three")
    with pytest.raises(BadLimitError, match="environment variable SAT_RECOVERY_ATTEMPTS: found 'three'"):
        begin()
