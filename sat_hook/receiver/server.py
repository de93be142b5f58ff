"""The receiver alone, under uvicorn: for deployments that expose nothing else."""

from __future__ import annotations

import uvicorn

from sat_hook.receiver.app import create_app
from sat_hook.receiver.settings import ReceiverSettings

DEFAULT_PREFIX = "/sat"
"""The same paths as in Airflow's API server, so that moving the receiver out needs no news to SAT."""

KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 20
CONNECTION_BACKLOG = 1024


def make_server(
    settings: ReceiverSettings, *, host: str, port: int, prefix: str = DEFAULT_PREFIX
) -> uvicorn.Server:
    """A server that has bound nothing yet; ``run()`` blocks until SIGINT or SIGTERM.

    Logging is the caller's to configure. On the way out the server answers the requests that it has, and
    commits what they brought.
    """
    app = create_app(lambda: settings, prefix=prefix, with_health=True)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            # Whose word about the sender is believed is our own setting (trusted_proxies), not uvicorn's.
            proxy_headers=False,
            server_header=False,
            access_log=False,
            limit_concurrency=settings.limits.open_connections,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            backlog=CONNECTION_BACKLOG,
            lifespan="on",
            log_config=None,
        )
    )
