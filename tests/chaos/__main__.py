"""``make chaos``: ten or more kills on a stack of its own; the last line is the verdict."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.siege import Siege
from tests.running_stack import NOTICE_QUICKLY, stack_in


def main() -> int:
    """Run the siege."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=900, help="for all batches to end")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sat-chaos-") as folder:
        stack = stack_in(Path(folder) / "state", NOTICE_QUICKLY)
        try:
            stack.up()
            siege = Siege(stack, random.Random(wanted.seed), lambda line: print(line, flush=True))
            siege.lay(batches=wanted.batches, orders=wanted.orders, kills=wanted.kills)
            verdict = siege.lift(wanted.seconds)
        finally:
            stack.down()
    print(verdict)
    return 1 if verdict.findings else 0


if __name__ == "__main__":
    sys.exit(main())
