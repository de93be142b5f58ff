"""``sat``: the command line. See ``sat --help``.

Each command imports what it needs when it runs: ``sat --help`` loads neither a database driver nor pandas.
No module here imports Airflow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import typer

from sat_hook.cli.commands import app
from sat_hook.cli.errors import ExitCode, sentence_for


@cache
def command() -> Callable[[], Any]:
    """``sat`` with all its commands; built once in a process, because that takes longer than most calls."""
    return typer.main.get_command(app)


def main() -> None:
    """Run one command.

    Exit code 0: done. 1: the command ran and found a problem. 2: it could not run; standard error has the
    reason in one line."""
    try:
        command()()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output (head, less) has closed the pipe.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None:
            raise
        print(f"sat: {sentence}", file=sys.stderr)
        sys.exit(ExitCode.CANNOT_RUN)
