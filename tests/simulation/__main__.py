"""``make simulate``: many seeds on every core, each single-threaded; the last line is the verdict."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.keys import key_pairs
from tests.simulation.on_postgres import backend_of_environment
from tests.simulation.simulation import Verdict, run_seed
from tests.simulation.weather import draw_small_plan

SEEDS_A_TASK = 25
REPORT_EVERY_SECONDS = 10.0
SHOWN_FAILURES = 5


@dataclass(slots=True)
class Tally:
    """The results of a range of seeds. ``failures`` are pairs of seed and broken invariant."""

    seeds: int = 0
    orders: int = 0
    boundaries: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add another tally."""
        self.seeds += other.seeds
        self.orders += other.orders
        self.boundaries += other.boundaries
        self.counters.update(other.counters)
        self.failures.extend(other.failures)


def run_range(seeds: Sequence[int]) -> Tally:
    """Run these seeds."""
    tally = Tally()
    for seed in seeds:
        verdict = run_one(seed)
        tally.seeds += 1
        tally.orders += verdict.orders
        tally.boundaries += verdict.boundaries
        tally.counters.update(verdict.counters)
        if verdict.broken is not None:
            tally.failures.append((seed, f"{type(verdict.broken).__name__}: {verdict.broken}"))
    return tally


def run_one(seed: int, *, traced: bool = False) -> Verdict:
    """Run one seed in memory, or a smaller batch of it on the database that the environment names."""
    backend = backend_of_environment()
    if backend is None:
        return run_seed(seed, traced=traced)
    return run_seed(seed, plan=draw_small_plan(seed), backend=backend, traced=traced)


def prepare_worker() -> None:
    """Prepare a worker process once: keys, and a garbage collector that skips permanent objects."""
    key_pairs()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def run_many(seeds: Sequence[int], jobs: int) -> Iterator[Tally]:
    """Run the seeds on ``jobs`` processes. Yields a tally for each task, in order."""
    tasks = [seeds[start : start + SEEDS_A_TASK] for start in range(0, len(seeds), SEEDS_A_TASK)]
    if jobs == 1:
        prepare_worker()
        yield from map(run_range, tasks)
        return
    with ProcessPoolExecutor(jobs, initializer=prepare_worker) as pool:
        yield from pool.map(run_range, tasks)


def show(seed: int) -> None:
    """Replay one seed and print the story of the affected order."""
    verdict = run_one(seed, traced=True)
    print(f"seed {seed}")
    print(verdict.story())
    print(f"verdict on seed {seed}: {verdict.broken or 'every law held'}; digest {verdict.digest[:16]}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns 0 when every law held in every seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--counters", type=Path, help="write all counters to this file, as JSON")
    parser.add_argument("--replay", type=int, help="run this one seed again and tell its story")
    options = parser.parse_args(arguments)
    if options.replay is not None:
        show(options.replay)
        return 0
    if options.seeds < 1:
        parser.error("--seeds: expected at least 1")
    began = last_report = time.monotonic()
    total = Tally()
    for tally in run_many(range(options.first_seed, options.first_seed + options.seeds), options.jobs):
        total.add(tally)
        for seed, what in tally.failures:
            print(f"seed {seed}: {what}", flush=True)
        if time.monotonic() - last_report >= REPORT_EVERY_SECONDS:
            last_report = time.monotonic()
            speed = total.seeds / (last_report - began)
            print(f"{total.seeds} of {options.seeds} seeds, {speed:.0f} a second", flush=True)
    seconds = time.monotonic() - began
    for name, times in sorted(total.counters.items()):
        print(f"{times:10d}  {name}")
    if options.counters is not None:
        options.counters.write_text(json.dumps(total.counters, indent=1, sort_keys=True), encoding="utf-8")
    for seed, _ in total.failures[:SHOWN_FAILURES]:
        show(seed)
        print(f"replay: make simulate SEED={seed}")
    verdict = "FAILED" if total.failures else "PASSED"
    last = options.first_seed + options.seeds - 1
    print(
        f"{verdict}: {len(total.failures)} of {total.seeds} seeds broke a law; seeds {options.first_seed} to "
        f"{last}, {total.orders} orders, {total.boundaries} boundaries, {len(total.counters)} different "
        f"happenings, {seconds:.1f} s, {total.seeds / seconds:.0f} seeds a second"
    )
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
