"""``make scale``: two accounts' batches on a cluster whose machines are killed, and the verdict."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from stack.cluster.lifecycle import Cluster
from stack.layout import Layout
from tests.running_stack import NOTICE_QUICKLY
from tests.scale.cluster_siege import ClusterSiege


def main() -> int:
    """Run the siege of a cluster."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=900, help="for all batches to end")
    wanted = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix="sat-scale-") as folder:
        # PgBouncer, which refuses to run as root, reads its files below as another user.
        Path(folder).chmod(0o755)
        layout = Layout(Layout.here().checkout, Path(folder) / "state")
        cluster = Cluster(layout, say, NOTICE_QUICKLY)
        try:
            cluster.up()
            siege = ClusterSiege(cluster, random.Random(wanted.seed), say)
            siege.lay(batches=wanted.batches, orders=wanted.orders, kills=wanted.kills)
            verdict = siege.lift(wanted.seconds)
        finally:
            cluster.down()
    print(verdict)
    return 1 if verdict.findings else 0


if __name__ == "__main__":
    sys.exit(main())
