"""The Airflow plugin: mounts the receiver of callbacks and the routes for people at ``/sat`` of Airflow.

``POST /sat/callbacks/{account}``
    The callback receiver, open to senders without a token, because the signature authenticates (present when
    ``SAT_RECEIVER_CONFIG`` is set).

``GET /sat/metrics``
    Figures for Prometheus, with a token of its own (present when ``SAT_METRICS_TOKEN_FILE`` is set).

``/sat/v1/…``
    What people do (:mod:`sat_hook.web`). Every route requires an Airflow user, and that user is the actor of
    the event (law 13).

Every Airflow process imports plugins, so this module imports next to nothing and opens nothing: the app is
built with the first request to the API server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from sat_hook.plugin import run_notes

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp


class BuiltOnFirstRequest:
    """An ASGI app that is built on the first request."""

    def __init__(self, build: Callable[[], FastAPI]) -> None:
        self._build = build
        self._app: FastAPI | None = None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if self._app is None:
            self._app = self._build()
        await self._app(scope, receive, send)


def build_app() -> FastAPI:
    """The app behind ``/sat``."""
    from sat_hook.plugin.airflow_host import AirflowHost
    from sat_hook.receiver.app import create_app as create_receiver
    from sat_hook.receiver.figures import families_of
    from sat_hook.receiver.settings import load_settings
    from sat_hook.web.app import create_app

    host = AirflowHost()
    app, deployment = create_app(host), host.settings()
    # What the server's process before this one began to decide.
    app.state.decision_worker.wake()
    if deployment.receiver_config:
        dsn = deployment.receiver_dsn.get_secret_value()
        receiver = create_receiver(partial(load_settings, Path(deployment.receiver_config), dsn))
        app.state.figures.append(partial(families_of, receiver.state.receiver))
        app.mount("", receiver)
    return app


def lock_airflow(app: ASGIApp) -> ASGIApp:
    """Airflow's own app behind the lock on its buttons and API."""
    from sat_hook.plugin.airflow_door import AirflowDoor

    return AirflowDoor(app)


class SATPlugin(AirflowPlugin):
    """Registers the app, the console's pages in Airflow's navigation, the lock, and the note of runs."""

    name = "sat"
    fastapi_apps = [{"app": BuiltOnFirstRequest(build_app), "url_prefix": "/sat", "name": "sat"}]  # noqa: RUF012
    listeners = [run_notes]  # noqa: RUF012
    fastapi_root_middlewares = [{"middleware": lock_airflow, "name": "sat"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Disbursements",
            "href": "/sat/console/",
            "url_route": "disbursements",
            "destination": "nav",
            "nav_top_level": True,
            "icon": "/sat/console/static/icon.svg",
            "icon_dark_mode": "/sat/console/static/icon-dark.svg",
        },
        {
            "name": "Batch",
            "href": "/sat/console/runs/{DAG_ID}/{RUN_ID}",
            "url_route": "disbursement_batch",
            "destination": "dag_run",
            "icon": "/sat/console/static/icon.svg",
            "icon_dark_mode": "/sat/console/static/icon-dark.svg",
        },
    ]
