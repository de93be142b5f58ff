"""Creates the app."""

from __future__ import annotations

import time
from functools import cache
from itertools import chain

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from sat_hook.application.decision_worker import DecisionWorker
from sat_hook.application.metrics import Metrics, scrape_tokens
from sat_hook.application.sessions import Remembered
from sat_hook.telemetry.scrape import Families, ScrapePage
from sat_hook.web.api import (
    accounts,
    approvals,
    attention,
    batches,
    breaks,
    business_days,
    closed_days,
    days,
    decisions,
    drafts,
    evidence,
    log,
    notifications,
    orders,
    price_records,
    runs,
    settlements,
    top_ups,
    webhooks,
)
from sat_hook.web.api.idempotency import remember_requests
from sat_hook.web.api.models import describe_api
from sat_hook.web.console import accounts as account_pages
from sat_hook.web.console import approvals as approval_pages
from sat_hook.web.console import (
    audit_evidence,
    audit_log,
    break_decisions,
    deliveries,
    home,
    new_batch,
    prices,
)
from sat_hook.web.console import batches as batch_pages
from sat_hook.web.console import breaks as break_pages
from sat_hook.web.console import days as day_pages
from sat_hook.web.console import decisions as decision_pages
from sat_hook.web.console import notifications as notification_pages
from sat_hook.web.console import orders as order_pages
from sat_hook.web.console import products as product_pages
from sat_hook.web.console import settlements as settlement_pages
from sat_hook.web.console import top_ups as top_up_pages
from sat_hook.web.console.site import PREFIX, mount_files, show_errors_as_pages
from sat_hook.web.errors import PROBLEMS, answer_errors
from sat_hook.web.host import Host
from sat_hook.web.request_guard import UnguardedRoute, guard_requests


def create_app(host: Host) -> FastAPI:
    """Create the app: the routes for programs below ``/v1``, the console's pages below ``/console``.

    Opens no connection.

    Apps mounted in it are not guarded.
    """
    app = FastAPI(
        title="SAT bulk orders",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.host = host
    app.state.decision_worker = DecisionWorker(host)
    app.state.sessions = Remembered()
    app.state.seen_rights = Remembered()
    answer_errors(app, {**PROBLEMS, **host.errors})
    remember_requests(app, host)
    guard_requests(app, host)
    app.router.routes.extend(_routes())
    describe_api(app)
    mount_files(app)
    show_errors_as_pages(app)
    _serve_figures(app, host)
    return app


def _serve_figures(app: FastAPI, host: Host) -> None:
    """``GET /metrics`` for Prometheus; ``app.state.figures`` has the sources, to which the host may add."""
    sources: list[Families] = [Metrics(host, time.monotonic).families]
    page = ScrapePage(
        lambda: chain.from_iterable(source() for source in sources),
        lambda: scrape_tokens(host.settings().metrics_token_file),
        time.monotonic,
    )
    app.state.figures = sources
    app.router.routes.append(UnguardedRoute("/metrics", page, include_in_schema=False))


@cache
def _routes() -> list[BaseRoute]:
    """Every route of the API and the console, built once: that takes most of a second."""
    routes = APIRouter()
    for router in (
        batches.router,
        drafts.router,
        orders.router,
        decisions.router,
        approvals.router,
        accounts.router,
        attention.router,
        days.router,
        breaks.router,
        business_days.router,
        top_ups.router,
        closed_days.router,
        settlements.router,
        notifications.router,
        webhooks.router,
        price_records.router,
        evidence.router,
        log.router,
        runs.router,
    ):
        routes.include_router(router, prefix="/v1")
    for page in (
        home.router,
        new_batch.router,
        batch_pages.router,
        order_pages.router,
        decision_pages.router,
        deliveries.router,
        approval_pages.router,
        account_pages.router,
        break_decisions.router,
        break_pages.router,
        day_pages.router,
        top_up_pages.router,
        product_pages.router,
        settlement_pages.router,
        prices.router,
        notification_pages.router,
        audit_log.router,
        audit_evidence.router,
    ):
        routes.include_router(page, prefix=PREFIX, include_in_schema=False)
    return routes.routes
