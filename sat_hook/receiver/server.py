"""The stand-alone receiver under uvicorn, for deployments that expose nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import uvicorn

from sat_hook.receiver.app import Receiver, create_app
from sat_hook.receiver.connections import HEAD_BYTES, KEEP_ALIVE_SECONDS, Doorkeeper, ReceiverProtocol
from sat_hook.receiver.live_settings import SettingsSource
from sat_hook.telemetry.scrape import Tokens

DEFAULT_PREFIX = "/sat"
"""The same paths as in Airflow's API server, so that SAT needs no new URL when the receiver moves out."""

SHUTDOWN_SECONDS = 20
CONNECTION_BACKLOG = 1024


def make_server(
    source: SettingsSource,
    *,
    host: str,
    port: int,
    prefix: str = DEFAULT_PREFIX,
    scrape_tokens: Tokens | None = None,
) -> uvicorn.Server:
    """Make a server that has not bound a port yet; ``run()`` blocks until SIGINT or SIGTERM.

    The caller configures logging. On shutdown the server answers its open requests and commits their
    callbacks.

    :param source: reads the settings, now and while the server runs. The limits on connections are taken
        from the first read.
    :param scrape_tokens: as :func:`~sat_hook.receiver.app.create_app` takes them.
    :raises ReceiverSettingsError: as ``source`` does.
    """
    limits = source().limits
    app = create_app(source, prefix=prefix, with_health=True, scrape_tokens=scrape_tokens)
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
            # A websocket request is treated as an ordinary GET.
            ws="none",
            h11_max_incomplete_event_size=HEAD_BYTES,
            # Our setting trusted_proxies, not uvicorn's, decides which proxies are trusted.
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
