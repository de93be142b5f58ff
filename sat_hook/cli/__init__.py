"""``sat``: the command for people. See ``sat --help``.

Commands import what they need when they run: ``sat --help`` loads neither a database driver nor pandas, and
nothing here imports Airflow.
"""

from __future__ import annotations

import sys

from sat_hook.cli.commands import app
from sat_hook.cli.errors import sentence_for

INTERRUPTED = 130
MISTAKE = 2


def main() -> None:
    """Run one command. Exit code 0: done; 1: looked and found trouble; 2: could not be done, the reason is
    one line on standard error."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None:
            raise
        print(f"sat: {sentence}", file=sys.stderr)
        sys.exit(MISTAKE)
