"""``sat receiver``: the callback receiver alone."""

from __future__ import annotations

import logging
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sat_hook.cli.errors import CommandError

app = typer.Typer(help="The callback receiver, alone.", no_args_is_help=True)

DEFAULT_PORT = 8791


class LogFormat(StrEnum):
    """How lines of the log look."""

    TEXT = "text"
    JSON = "json"


@app.callback()
def receiver() -> None:
    """The callback receiver, alone."""


@app.command("serve")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one", min=0, max=65535)] = (
        DEFAULT_PORT
    ),
    prefix: Annotated[str, typer.Option(help="Stands before /callbacks/ACCOUNT")] = "/sat",
    settings: Annotated[
        Path | None, typer.Option(help="The receiver's JSON file (default: $SAT_RECEIVER_CONFIG)")
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="How lines of the log look; json has the members of Airflow's own")
    ] = LogFormat.TEXT,
) -> None:
    """Serve POST PREFIX/callbacks/ACCOUNT and GET PREFIX/health until SIGINT or SIGTERM.

    With SAT_METRICS_TOKEN_FILE also GET PREFIX/metrics, for Prometheus.
    """
    import socket

    from sat_hook.application.metrics import scrape_tokens
    from sat_hook.application.settings import read_settings
    from sat_hook.receiver.server import CONNECTION_BACKLOG, make_server
    from sat_hook.receiver.settings import load_settings

    if prefix and (not prefix.startswith("/") or prefix.endswith("/") or "{" in prefix):
        raise CommandError.at("--prefix", repr(prefix), "nothing, or a path like /sat")

    deployment = read_settings()
    if not (named := settings or deployment.receiver_config):
        raise CommandError.at(
            "environment variable SAT_RECEIVER_CONFIG", "nothing", "the path of the receiver's JSON file"
        )
    source = partial(load_settings, Path(named), deployment.receiver_dsn.get_secret_value())
    loaded = source()
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(log_format))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=CONNECTION_BACKLOG)
    except OSError as error:
        raise CommandError.of_system(f"{host}:{port}", error, "an address and port that are free") from None
    with listener:
        typer.echo(
            f"callbacks: http://{host}:{listener.getsockname()[1]}{prefix}/callbacks/ACCOUNT "
            f"(accounts: {', '.join(sorted(loaded.verifiers))})"
        )
        tokens = partial(scrape_tokens, deployment.metrics_token_file)
        server = make_server(source, host=host, port=port, prefix=prefix, scrape_tokens=tokens)
        server.run(sockets=[listener])


def _formatter(form: LogFormat) -> logging.Formatter:
    """Formats lines of the log: with ``timestamp``, ``level``, ``event`` and ``logger`` as JSON."""
    import structlog

    if form is LogFormat.TEXT:
        return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.format_exc_info,
        ],
    )
