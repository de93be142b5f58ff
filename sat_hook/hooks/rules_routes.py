"""Routes for an account's rules; mounted by the plugin under ``/sat/v1``.

Proposing and confirming have rights of their own (:mod:`sat_hook.hooks.rights`). The actor of every event is
the Airflow user of the request (law 13).
"""

# No `from __future__ import annotations`: FastAPI has to see the annotations of the nested routes.
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Body, Depends, Path
from starlette.concurrency import run_in_threadpool

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.account import AccountStanding
from sat_hook.domain.event_record import Provenance
from sat_hook.hooks.batch_routes import DAG_ID, MAXIMUM_BODY_TEXT
from sat_hook.hooks.rights import Right, requires_right
from sat_hook.hooks.sat import SATHook
from sat_hook.pipeline.command_handler import CommandHandler
from sat_hook.pipeline.rule_changes import confirm_rules, decline_rules, propose_rules
from sat_hook.pipeline.rules_page import rules_as_shown

if TYPE_CHECKING:
    from sat_hook.store.postgres import PostgresEventStore


def rules_routes(
    store: "Callable[[], PostgresEventStore]",
    account_of: Callable[[str], str],
    connection_of: Callable[[str], str],
    by: Callable[[Any, str], Provenance],
) -> APIRouter:
    """The routes. Looking wants a user who may see the runs of ``bulk_disbursement``.

    :param account_of: an account's name in the log, by its connection.
    :param connection_of: an account's connection, by its name in the log.
    :param by: the provenance of a user's action.
    """
    may_look = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    may_propose = Depends(requires_right(Right.PROPOSE_RULES))
    may_confirm = Depends(requires_right(Right.CONFIRM_RULES))
    may_decline = Depends(requires_right(Right.PROPOSE_RULES, Right.CONFIRM_RULES))
    router = APIRouter(dependencies=[may_look])
    ConnectionId = Annotated[str, Path(max_length=200)]
    Proposal = Annotated[int, Path(ge=1, le=2**31 - 1)]
    Reason = Annotated[str, Body(embed=True, max_length=MAXIMUM_BODY_TEXT)]

    def handler() -> CommandHandler:
        return CommandHandler(store(), SystemClock())

    @router.get("/accounts/{account}/rules")
    async def show_rules(account: ConnectionId) -> dict[str, Any]:
        """Which rules are in force and where each comes from, and what is proposed."""

        def show() -> dict[str, Any]:
            name, connection = account_of(account), connection_of(account)
            return rules_as_shown(store(), name, connection, SATHook(connection).asked_rules())

        return await run_in_threadpool(show)

    @router.post("/accounts/{account}/rules/proposals", dependencies=[may_propose])
    async def propose(
        account: ConnectionId,
        user: GetUserDep,
        changes: Annotated[dict[str, Any], Body()],
        reason: Reason,
    ) -> dict[str, Any]:
        """Propose the account's rules with some changes; they hold once somebody else confirms them."""

        def change() -> dict[str, Any]:
            base = SATHook(connection_of(account)).asked_rules()
            provenance = by(user, "plugin:propose-rules")
            return _proposal(propose_rules(handler(), account_of(account), base, changes, reason, provenance))

        return await run_in_threadpool(change)

    @router.post("/accounts/{account}/rules/{proposal}/confirm", dependencies=[may_confirm])
    async def confirm(
        account: ConnectionId, proposal: Proposal, user: GetUserDep, reason: Reason
    ) -> dict[str, Any]:
        """Put a proposal in force, as somebody else than its proposer."""

        def answer() -> dict[str, Any]:
            provenance = by(user, "plugin:confirm-rules")
            return _rules(confirm_rules(handler(), account_of(account), proposal, reason, provenance))

        return await run_in_threadpool(answer)

    @router.post("/accounts/{account}/rules/{proposal}/decline", dependencies=[may_decline])
    async def decline(
        account: ConnectionId, proposal: Proposal, user: GetUserDep, reason: Reason
    ) -> dict[str, Any]:
        """Take a proposal off the table."""

        def answer() -> dict[str, Any]:
            provenance = by(user, "plugin:decline-rules")
            return _rules(decline_rules(handler(), account_of(account), proposal, reason, provenance))

        return await run_in_threadpool(answer)

    return router


def _proposal(standing: AccountStanding) -> dict[str, Any]:
    proposal = standing.rules.proposal
    assert proposal is not None
    return {"account": standing.account, "proposal": proposal.number, "rules": proposal.values.model_dump()}


def _rules(standing: AccountStanding) -> dict[str, Any]:
    values = standing.rules.values
    return {
        "account": standing.account,
        "are_confirmed": standing.rules.are_confirmed,
        "rules": None if values is None else values.model_dump(),
    }
