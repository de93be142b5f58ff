"""The receiver alone, under uvicorn: for deployments that expose nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import uvicorn

from sat_hook.receiver.app import Receiver, create_app
from sat_hook.receiver.connections import HEAD_BYTES, KEEP_ALIVE_SECONDS, Doorkeeper, ReceiverProtocol
from sat_hook.receiver.live_settings import SettingsSource

DEFAULT_PREFIX = "/sat"
"""The same paths as in Airflow's API server, so that moving the receiver out needs no news to SAT."""

SHUTDOWN_SECONDS = 20
CONNECTION_BACKLOG = 1024


def make_server(
    source: SettingsSource, *, host: str, port: int, prefix: str = DEFAULT_PREFIX
) -> uvicorn.Server:
    """A server that has bound nothing yet; ``run()`` blocks until SIGINT or SIGTERM.

    Logging is the caller's to configure. On the way out the server answers the requests that it has, and
    commits what they brought.

    :param source: reads the settings: now, and again while the server runs. Its limits on connections are
        those of now.
    :raises ReceiverSettingsError: as ``source`` does.
    """
    limits = source().limits
    app = create_app(source, prefix=prefix, with_health=True)
    receiver: Receiver = app.state.receiver
    doorkeeper = Doorkeeper(
        limits.open_connections,
        limits.connections_per_source,
        receiver.is_known,
        lambda refusal, source: receiver.tally.refuse(refusal, "", source),
    )
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=cast(Any, partial(ReceiverProtocol, doorkeeper=doorkeeper)),
            # A request to become a websocket is a GET like any other.
            ws="none",
            h11_max_incomplete_event_size=HEAD_BYTES,
            # Whose word about the sender is believed is our own setting (trusted_proxies), not uvicorn's.
            proxy_headers=False,
            server_header=False,
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            backlog=CONNECTION_BACKLOG,
            lifespan="on",
            log_config=None,
        )
    )
