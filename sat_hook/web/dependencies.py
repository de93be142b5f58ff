"""Dependencies of the routes: the person, the application's services, path ids."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, cast

from fastapi import Body, Depends, Form, Path, Query, Request
from pydantic import AwareDatetime, BeforeValidator, Field

from sat_hook.application.approvals import Approvals
from sat_hook.application.audit_log import AuditLog
from sat_hook.application.batch_reports import BatchReports
from sat_hook.application.batch_starts import BatchStarts
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
from sat_hook.application.listings import Listings
from sat_hook.application.notifications import Notifications
from sat_hook.application.order_exports import OrderExports
from sat_hook.application.pay_again import PayAgain
from sat_hook.application.person import Person
from sat_hook.application.price_records import PriceRecords
from sat_hook.application.prices import Prices
from sat_hook.application.rights_in_force import RightsInForce
from sat_hook.application.rule_book import RuleBook
from sat_hook.application.runs import Runs
from sat_hook.application.sign_ins import SeenSessions, SignIns
from sat_hook.application.status_rechecks import StatusRechecks
from sat_hook.application.submissions import Submissions
from sat_hook.application.verifications import Verifications
from sat_hook.web.host import Host
from sat_hook.web.request_guard import user_of

MAXIMUM_BODY_TEXT = 10_000


async def host_of(request: Request) -> Host:
    """Return the host of the app."""
    return cast("Host", request.app.state.host)


_Host = Annotated[Host, Depends(host_of)]


def session_of(request: Request) -> str:
    """Return the digest of the login behind a request."""
    return cast("Host", request.app.state.host).session_of(request)


def current_person(request: Request, host: _Host) -> Person:
    """Return the user that the request guard found, with the user's rights."""
    user = user_of(request)
    return Person(user.name, host.rights_of(user))


CurrentPerson = Annotated[Person, Depends(current_person)]


async def _accounts(host: _Host) -> AccountDirectory:
    return host.accounts


async def _approvals(host: _Host) -> Approvals:
    return Approvals(host)


async def _audit_log(host: _Host) -> AuditLog:
    return AuditLog(host)


RightHolders = Callable[[str], str]
"""Who has the right of this name, in words; empty when the host does not know it."""


async def _holders(host: _Host) -> RightHolders:
    return host.holders_of


async def _batch_starts(host: _Host) -> BatchStarts:
    return BatchStarts(host)


async def _bulk_decisions(request: Request, host: _Host) -> BulkDecisions:
    return BulkDecisions(host, request.app.state.decision_worker)


async def _closed_days(host: _Host) -> ClosedDays:
    return ClosedDays(host)


async def _connection_test(host: _Host) -> ConnectionTest:
    return ConnectionTest(host)


async def _runs(request: Request, host: _Host) -> Runs:
    return host.runs(request)


async def _batch_reports(host: _Host) -> BatchReports:
    return BatchReports(host)


async def _day_books(host: _Host) -> DayBooks:
    return DayBooks(host)


async def _days(host: _Host) -> Days:
    return Days(host)


async def _day_reports(host: _Host) -> DayReports:
    return DayReports(host)


async def _decisions(host: _Host) -> Decisions:
    return Decisions(host)


async def _deliveries(host: _Host) -> Deliveries:
    return Deliveries(host)


async def _evidence_packs(host: _Host) -> EvidencePacks:
    return EvidencePacks(host)


async def _listings(host: _Host) -> Listings:
    return Listings(host)


async def _notifications(host: _Host) -> Notifications:
    return Notifications(host)


async def _order_exports(host: _Host) -> OrderExports:
    return OrderExports(host)


async def _pay_again(host: _Host) -> PayAgain:
    return PayAgain(host)


async def _price_records(host: _Host) -> PriceRecords:
    return PriceRecords(host)


async def _prices(host: _Host) -> Prices:
    return Prices(host)


async def _rights_in_force(host: _Host) -> RightsInForce:
    return RightsInForce(host)


async def _rule_book(host: _Host) -> RuleBook:
    return RuleBook(host)


async def _sign_ins(request: Request, host: _Host) -> SignIns:
    return SignIns(host, cast("SeenSessions", request.app.state.sessions))


async def _status_rechecks(host: _Host) -> StatusRechecks:
    return StatusRechecks(host)


async def _submissions(host: _Host) -> Submissions:
    return Submissions(host)


AccountsDep = Annotated[AccountDirectory, Depends(_accounts)]
ApprovalsDep = Annotated[Approvals, Depends(_approvals)]


async def _verifications(host: _Host) -> Verifications:
    return Verifications(host)


AuditLogDep = Annotated[AuditLog, Depends(_audit_log)]
BatchReportsDep = Annotated[BatchReports, Depends(_batch_reports)]
BatchStartsDep = Annotated[BatchStarts, Depends(_batch_starts)]
BulkDecisionsDep = Annotated[BulkDecisions, Depends(_bulk_decisions)]
ClosedDaysDep = Annotated[ClosedDays, Depends(_closed_days)]
ConnectionTestDep = Annotated[ConnectionTest, Depends(_connection_test)]
DayBooksDep = Annotated[DayBooks, Depends(_day_books)]
DayReportsDep = Annotated[DayReports, Depends(_day_reports)]
DaysDep = Annotated[Days, Depends(_days)]
DecisionsDep = Annotated[Decisions, Depends(_decisions)]
DeliveriesDep = Annotated[Deliveries, Depends(_deliveries)]
EvidencePacksDep = Annotated[EvidencePacks, Depends(_evidence_packs)]
HoldersDep = Annotated[RightHolders, Depends(_holders)]
ListingsDep = Annotated[Listings, Depends(_listings)]
NotificationsDep = Annotated[Notifications, Depends(_notifications)]
OrderExportsDep = Annotated[OrderExports, Depends(_order_exports)]
PayAgainDep = Annotated[PayAgain, Depends(_pay_again)]
PriceRecordsDep = Annotated[PriceRecords, Depends(_price_records)]
PricesDep = Annotated[Prices, Depends(_prices)]
RightsInForceDep = Annotated[RightsInForce, Depends(_rights_in_force)]
RuleBookDep = Annotated[RuleBook, Depends(_rule_book)]
RunsDep = Annotated[Runs, Depends(_runs)]
SignInsDep = Annotated[SignIns, Depends(_sign_ins)]
StatusRechecksDep = Annotated[StatusRechecks, Depends(_status_rechecks)]
SubmissionsDep = Annotated[Submissions, Depends(_submissions)]
VerificationsDep = Annotated[Verifications, Depends(_verifications)]

AccountPath = Annotated[str, Path(max_length=200)]
AccountQuery = Annotated[
    str | None, Query(max_length=200, description="an account's name, or its Airflow connection")
]
BoundedDay = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
DayPath = Annotated[BoundedDay, Path()]
# A form sends an empty text for a day that is not chosen.
DayQuery = Annotated[BoundedDay | None, BeforeValidator(lambda text: text or None), Query()]
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
