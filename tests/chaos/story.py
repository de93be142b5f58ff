"""The story of one batch that waits: everything that can happen to callbacks and processes, and its end.

``python -m tests.chaos.story --orders 5000`` runs it on its own stack with this many orders deferred at once,
and prints their cost for Airflow's triggerer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sat_hook.domain.order import OrderState
from tests.chaos.waiting import FAULTS, FORGED, SILENT, Load, WaitingBatch
from tests.running_stack import NOTICE_QUICKLY, stack_in


def sizes_of(held: int) -> dict[str, int]:
    """Return the number of orders in each group; ``held`` of them wait until everything was killed."""
    return {**dict.fromkeys(FAULTS, 4), **dict.fromkeys(FORGED, 2), "held": held, "unheard": 20, "rung": 20}


@dataclass
class Waited:
    """The batch at its end, and what was observed before it."""

    batch: WaitingBatch
    foretold: list[int]
    unheard: list[int]
    rung: list[int]
    second: str
    load: Load
    questions_after_the_kills: int
    seconds_to_ring: float


def story(batch: WaitingBatch) -> Waited:
    """Submit, wait, run the trigger twice, kill what waits, stop the faults, send callbacks."""
    batch.lie()
    foretold = batch.call_back(batch.keys("foretold"))
    batch.submit()
    batch.until(batch.is_deferred, 90, "sent and deferred")
    others = [group for group in batch.sizes if group not in SILENT]
    with batch.measured() as load:
        # Law 7: the same trigger twice, at once.
        second = batch.second_instance(4.0)
        batch.until(lambda: all(s.is_final for s in batch.states(*others)), 30, "ends that SAT told of")
    batch.until_idle()
    batch.kill("triggerer")
    # The receiver keeps these and sends notifications that nothing receives.
    unheard = batch.call_back(batch.keys("unheard"))
    batch.kill("postgres")
    batch.repair()
    asked = batch.fired("silent")
    batch.until(lambda: batch.fired("silent") > asked, 60, "asked again after the kills", is_supervised=True)
    questions = batch.fired("silent") - asked
    batch.tell_the_truth()
    rung = batch.call_back(batch.keys("rung"))
    seconds = batch.until(
        lambda: batch.states("rung") == {OrderState.SUCCEEDED},
        30,
        "ends that callbacks told of",
        is_supervised=True,
    )
    batch.until(batch.is_complete, 90, "everything", is_supervised=True)
    ids = batch.keys("taken_back")
    batch.until(
        lambda: {entry["status"] for entry in batch.ledger(ids)["requests"].values()} == {"Failed"},
        60,
        "taken back by SAT",
    )
    batch.look_again("taken_back")
    return Waited(batch, foretold, unheard, rung, second, load, questions, seconds)


def main() -> int:
    """Run the story with many orders, and judge it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.story", description=__doc__)
    parser.add_argument("--orders", type=int, default=5000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sat-story-") as folder:
        stack = stack_in(Path(folder) / "state", NOTICE_QUICKLY)
        try:
            stack.up()
            batch = WaitingBatch(
                stack,
                sizes_of(wanted.orders),
                lambda line: print(line, flush=True),
                patience=1 + wanted.orders / 1000,
            )
            told = story(batch)
            findings = batch.judge()
            batch.close()
        finally:
            stack.down()
    for finding in findings:
        print(f"FOUND: {finding}")
    print(f"{told.load}; callbacks after the kills led to ends after {told.seconds_to_ring:.1f} s")
    print("BROKEN" if findings else "HELD")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
