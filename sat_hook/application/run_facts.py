"""The run that a step belongs to: who started it, what it was given, and which rules it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sat_hook.application.ports import Ports
from sat_hook.domain.event_record import Provenance
from sat_hook.pipeline.account_rules import AskedRun

RunRules = Mapping[str, float | None]
"""The rules that a run names, by name; None, or no name, asks for nothing."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The run that a step belongs to.

    :param provenance: the try of the task.
    :param user: the Airflow user who started the run; None where the schedule did.
    :param run: the DAG's id and the run's, as the log names a run.
    :param claim: the name under which every try of this run claims rows of ``order_intake``.
    :param parameters: the run's parameters, as text.
    """

    provenance: Provenance
    user: str | None = None
    run: str = ""
    claim: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def asker(self) -> Provenance:
        """The try of the task. Its actor is the user when a person started the run."""
        return Provenance(f"user:{self.user}", self.provenance.cause) if self.user else self.provenance


def asked_run(ports: Ports, facts: RunFacts, rules: RunRules | None) -> AskedRun:
    """The run's rules, as the log records them."""
    return AskedRun(
        facts.run,
        ports.connection,
        ports.settings.client,
        ports.rules(),
        dict(rules or {}),
        facts.parameters,
    )
