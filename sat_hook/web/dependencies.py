"""Dependencies of the routes: the person, the application's services, path ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Annotated, TypeVar, cast

from fastapi import Body, Depends, Form, Path, Query, Request
from pydantic import AwareDatetime, BeforeValidator, Field

from sat_hook.application.approvals import Approvals
from sat_hook.application.asked_runs import AskedRuns
from sat_hook.application.audit_log import AuditLog
from sat_hook.application.batch_reports import BatchReports
from sat_hook.application.batch_standing import StoppedBatches
from sat_hook.application.batch_starts import BatchStarts
from sat_hook.application.bulk_break_decisions import BulkBreakDecisions
from sat_hook.application.bulk_decisions import BulkDecisions
from sat_hook.application.closed_days import ClosedDays
from sat_hook.application.connection_test import ConnectionTest
from sat_hook.application.day_books import DayBooks
from sat_hook.application.day_reports import DayReports
from sat_hook.application.days import Days
from sat_hook.application.decisions import Decisions
from sat_hook.application.deliveries import Deliveries
from sat_hook.application.evidence_packs import EvidencePacks
from sat_hook.application.installation import AccountDirectory
from sat_hook.application.kept_decisions import KeptDecisions
from sat_hook.application.listings import Listings
from sat_hook.application.notifications import Notifications
from sat_hook.application.order_exports import OrderExports
from sat_hook.application.pay_again import PayAgain
from sat_hook.application.price_files import PriceFiles
from sat_hook.application.prices import Prices
from sat_hook.application.rights import Person
from sat_hook.application.rights_in_force import RightsInForce
from sat_hook.application.rule_book import RuleBook
from sat_hook.application.runs import Runs
from sat_hook.application.sessions import Remembered, RightsWatch, SignIns
from sat_hook.application.status_rechecks import StatusRechecks
from sat_hook.application.submissions import Submissions
from sat_hook.application.verifications import Verifications
from sat_hook.application.webhooks import Webhooks
from sat_hook.web.host import Host
from sat_hook.web.request_guard import user_of

MAXIMUM_BODY_TEXT = 10_000
DIGEST = "^[0-9a-f]{64}$"
T = TypeVar("T")


async def host_of(request: Request) -> Host:
    return cast("Host", request.app.state.host)


HostDep = Annotated[Host, Depends(host_of)]


def service(of_host: Callable[[Host], T]) -> Callable[[Host], Awaitable[T]]:
    """A dependency that makes a service of the application for the app's host."""

    async def made(host: HostDep) -> T:
        return of_host(host)

    return made


def from_address(kind: type[T]) -> Callable[[T], T]:
    """A dependency that reads a model from the query, which FastAPI does where it is the one parameter."""

    def chosen(choice: T) -> T:
        return choice

    chosen.__annotations__["choice"] = Annotated[kind, Query()]
    return chosen


def session_of(request: Request) -> str:
    """Return the digest of the login behind a request."""
    return cast("Host", request.app.state.host).session_of(request)


def current_person(request: Request, host: HostDep) -> Person:
    """Return the user that the request guard found, with the user's rights.

    Rights that are other than those recorded last are recorded first, where the host knows logins.
    """
    user = user_of(request)
    session = host.session_of(request)
    if not session:
        return Person(user.name, host.rights_of(user))
    watch = RightsWatch(host, cast("Remembered", request.app.state.seen_rights))
    watch.notice_holders()
    person = Person(user.name, host.rights_of(user))
    watch.notice_user(person, user.roles, session)
    return person


CurrentPerson = Annotated[Person, Depends(current_person)]


async def _accounts(host: HostDep) -> AccountDirectory:
    return host.accounts


RightHolders = Callable[[str], str]
"""Who has the right of this name, in words; empty when the host does not know it."""


async def _holders(host: HostDep) -> RightHolders:
    return host.holders_of


_Kept = TypeVar("_Kept", bound=KeptDecisions)


def _deciding(service: type[_Kept]) -> Callable[..., Awaitable[_Kept]]:
    async def make(request: Request, host: HostDep) -> _Kept:
        return service(host, request.app.state.decision_worker)

    return make


async def _runs(request: Request, host: HostDep) -> Runs:
    return host.runs(request)


async def _listings(request: Request, host: HostDep) -> Listings:
    return Listings(host, StoppedBatches(host, host.runs(request)))


async def _deliveries(host: HostDep, listings: Annotated[Listings, Depends(_listings)]) -> Deliveries:
    return Deliveries(host, listings)


async def _sign_ins(request: Request, host: HostDep) -> SignIns:
    return SignIns(host, cast("Remembered", request.app.state.sessions))


AccountsDep = Annotated[AccountDirectory, Depends(_accounts)]
ApprovalsDep = Annotated[Approvals, Depends(service(Approvals))]
AuditLogDep = Annotated[AuditLog, Depends(service(AuditLog))]
AskedRunsDep = Annotated[AskedRuns, Depends(service(AskedRuns))]
BatchReportsDep = Annotated[BatchReports, Depends(service(BatchReports))]
BatchStartsDep = Annotated[BatchStarts, Depends(service(BatchStarts))]
BulkBreakDecisionsDep = Annotated[BulkBreakDecisions, Depends(_deciding(BulkBreakDecisions))]
BulkDecisionsDep = Annotated[BulkDecisions, Depends(_deciding(BulkDecisions))]
ClosedDaysDep = Annotated[ClosedDays, Depends(service(ClosedDays))]
ConnectionTestDep = Annotated[ConnectionTest, Depends(service(ConnectionTest))]
DayBooksDep = Annotated[DayBooks, Depends(service(DayBooks))]
DayReportsDep = Annotated[DayReports, Depends(service(DayReports))]
DaysDep = Annotated[Days, Depends(service(Days))]
DecisionsDep = Annotated[Decisions, Depends(service(Decisions))]
DeliveriesDep = Annotated[Deliveries, Depends(_deliveries)]
EvidencePacksDep = Annotated[EvidencePacks, Depends(service(EvidencePacks))]
HoldersDep = Annotated[RightHolders, Depends(_holders)]
ListingsDep = Annotated[Listings, Depends(_listings)]
NotificationsDep = Annotated[Notifications, Depends(service(Notifications))]
OrderExportsDep = Annotated[OrderExports, Depends(service(OrderExports))]
PayAgainDep = Annotated[PayAgain, Depends(service(PayAgain))]
PriceFilesDep = Annotated[PriceFiles, Depends(service(PriceFiles))]
PricesDep = Annotated[Prices, Depends(service(Prices))]
RightsInForceDep = Annotated[RightsInForce, Depends(service(RightsInForce))]
RuleBookDep = Annotated[RuleBook, Depends(service(RuleBook))]
RunsDep = Annotated[Runs, Depends(_runs)]
SignInsDep = Annotated[SignIns, Depends(_sign_ins)]
StatusRechecksDep = Annotated[StatusRechecks, Depends(service(StatusRechecks))]
SubmissionsDep = Annotated[Submissions, Depends(service(Submissions))]
VerificationsDep = Annotated[Verifications, Depends(service(Verifications))]
WebhooksDep = Annotated[Webhooks, Depends(service(Webhooks))]

AccountPath = Annotated[str, Path(max_length=200)]
AccountQuery = Annotated[
    str | None, Query(max_length=200, description="an account's name, or its Airflow connection")
]
BoundedDay = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
DayPath = Annotated[BoundedDay, Path()]
# A form sends an empty text for a day that is not chosen.
ChosenDay = Annotated[BoundedDay | None, BeforeValidator(lambda text: text or None)]
DayQuery = Annotated[ChosenDay, Query()]
ShownDigest = Annotated[str, Body(pattern=DIGEST, description="what the preview returned")]
ShownFormDigest = Annotated[str, Form(pattern=DIGEST)]
DecisionId = Annotated[str, Path(pattern="^L[A-Z2-7]{25}$")]
MonthQuery = Annotated[str, Query(pattern=r"^20\d\d-(0[1-9]|1[0-2])$", description="as YYYY-MM")]
VersionQuery = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(3000, 1, 1, tzinfo=UTC))
]
DayForm = Annotated[BoundedDay, Form()]
BatchId = Annotated[str, Path(pattern="^B[A-Z2-7]{25}$")]
ExportId = Annotated[str, Path(pattern="^X[A-Z2-7]{25}$")]
RequestId = Annotated[str, Path(pattern="^S[A-Z2-7]{31}$")]
# The pipeline's rule for reasons applies to every action. This limit only protects against floods.
Reason = Annotated[str, Body(embed=True, max_length=MAXIMUM_BODY_TEXT)]
