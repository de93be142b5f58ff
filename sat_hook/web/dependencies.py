"""Dependencies of the routes: the user, permissions and rights, the application's services, path ids."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Body, Depends, HTTPException, Path, Request

from sat_hook.application.batch_reports import BatchReports
from sat_hook.application.day_books import DayBooks
from sat_hook.application.decisions import Decisions
from sat_hook.application.evidence_packs import EvidencePacks
from sat_hook.application.installation import AccountDirectory
from sat_hook.application.rule_book import RuleBook
from sat_hook.application.submissions import Submissions
from sat_hook.domain.event_record import Provenance
from sat_hook.web.host import Host, Permission, User
from sat_hook.web.request_guard import user_of
from sat_hook.web.rights import RIGHTS_VARIABLE, Right, has_right

MAXIMUM_BODY_TEXT = 10_000


async def host_of(request: Request) -> Host:
    """Return the host of the app."""
    return cast("Host", request.app.state.host)


_Host = Annotated[Host, Depends(host_of)]


async def current_user(request: Request) -> User:
    """Return the user that the request guard found."""
    return user_of(request)


CurrentUser = Annotated[User, Depends(current_user)]


def requires(permission: Permission) -> Any:
    """Return a route dependency that requires a permission.

    :raises HTTPException: 403.
    """

    def check_permission(user: CurrentUser) -> None:
        if not user.may(permission):
            raise HTTPException(403, "Forbidden")

    return Depends(check_permission)


def requires_right(*rights: Right) -> Any:
    """Return a route dependency that requires one of these rights.

    :raises HTTPException: 403, naming the right and where it is given.
    """

    def check_right(user: CurrentUser, host: _Host) -> None:
        given = host.rights()
        if not any(has_right(user, right, given) for right in rights):
            wanted = " or ".join(rights)
            raise HTTPException(
                403,
                f"user {user.name!r} lacks the right {wanted}, which the file named by "
                f"{RIGHTS_VARIABLE} gives",
            )

    return Depends(check_right)


def by(user: User, action: str) -> Provenance:
    """Return the provenance of a user's action. The actor never comes from the request's content (law 13)."""
    return Provenance(f"user:{user.name}", f"plugin:{action}")


async def _accounts(host: _Host) -> AccountDirectory:
    return host.accounts


async def _batch_reports(host: _Host) -> BatchReports:
    return BatchReports(host)


async def _day_books(host: _Host) -> DayBooks:
    return DayBooks(host)


async def _decisions(host: _Host) -> Decisions:
    return Decisions(host)


async def _evidence_packs(host: _Host) -> EvidencePacks:
    return EvidencePacks(host)


async def _rule_book(host: _Host) -> RuleBook:
    return RuleBook(host)


async def _submissions(host: _Host) -> Submissions:
    return Submissions(host)


AccountsDep = Annotated[AccountDirectory, Depends(_accounts)]
BatchReportsDep = Annotated[BatchReports, Depends(_batch_reports)]
DayBooksDep = Annotated[DayBooks, Depends(_day_books)]
DecisionsDep = Annotated[Decisions, Depends(_decisions)]
EvidencePacksDep = Annotated[EvidencePacks, Depends(_evidence_packs)]
RuleBookDep = Annotated[RuleBook, Depends(_rule_book)]
SubmissionsDep = Annotated[Submissions, Depends(_submissions)]

AccountPath = Annotated[str, Path(max_length=200)]
BatchId = Annotated[str, Path(pattern="^B[A-Z2-7]{25}$")]
RequestId = Annotated[str, Path(pattern="^S[A-Z2-7]{31}$")]
# The pipeline's rule for reasons applies to every action. This limit only protects against floods.
Reason = Annotated[str, Body(embed=True, max_length=MAXIMUM_BODY_TEXT)]
