"""``--reason``: one option, with one rule, for every command that acts."""

from __future__ import annotations

from typing import Annotated

import typer

from sat_hook.cli.errors import CommandError


def _checked(text: str) -> str:
    """Return the reason as it will be recorded, so that a poor one is refused before anything is sent.

    :raises CommandError: the pipeline would refuse the reason.
    """
    from sat_hook.commands.errors import ReasonRefusedError
    from sat_hook.commands.reasons import checked_reason

    try:
        return checked_reason(text)
    except ReasonRefusedError as error:
        raise CommandError(f"--{error}") from None


Reason = Annotated[
    str, typer.Option(help="Why; it is recorded with your Airflow user", metavar="TEXT", callback=_checked)
]
