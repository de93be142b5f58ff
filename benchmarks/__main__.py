"""``python -m benchmarks`` measures, prints a table, and writes ``build/bench.json``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Bench, Run, Series
from benchmarks.processes import CHECKOUT
from benchmarks.stub import serving
from benchmarks.world import Keys, write_statuses
from stack.postgres import EmbeddedPostgres

LATENCY_SECONDS = 0.05
IN_FLIGHT = 256
SMALL_IN_FLIGHT = 64
CALLS_PER_ORDER = 3

# Number of threads, and enough orders for each of them.
PY_SAT_RUNS = {1: 40, 8: 320, 32: 1200, 128: 1800}

TARGETS = {
    "ratio_to_py_sat_best": 4.0,
    "ratio_to_bare_limit": 0.65,
    "ratio_two_processes": 1.7,
}
MEMORY_TARGET_MEGABYTES = 400
QUIET_CORES = 0.15
"""Figures are marked as noisy above this much work of other processes."""

console = Console()


def main() -> None:
    """Measure everything once, and the main comparison in several rounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000, help="of the main comparison")
    parser.add_argument("--rounds", type=int, default=3, help="of the main comparison; medians count")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "bench.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sat-bench-") as folder:
        report = _measure(Path(folder), options.orders, options.rounds)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    _show(report)
    console.print(f"Written to {options.output}")


def _measure(folder: Path, orders: int, rounds: int) -> dict[str, Any]:
    console.print(f"signing {orders} statuses beforehand")
    # PostgreSQL may run as another user, who must be able to enter this folder.
    folder.chmod(0o755)
    keys, statuses = Keys.made_in(folder), folder / "statuses.tsv"
    write_statuses(statuses, keys, orders)
    server = EmbeddedPostgres(folder / "postgres", "bench")
    server.start()
    try:
        with serving(statuses, LATENCY_SECONDS) as stub:
            bench = Bench.prepared(stub, keys, server)
            return _report(bench, statuses, orders, rounds)
    finally:
        server.stop("immediate")


def _report(bench: Bench, statuses: Path, orders: int, rounds: int) -> dict[str, Any]:
    began_at = datetime.now(UTC)
    headroom = bench.headroom(40_000, statuses)
    console.print(f"the stub serves {headroom:,.0f} requests a second")
    py_sat = {
        threads: _told(f"py-sat-sdk, {threads} threads", bench.py_sat(count, threads))
        for threads, count in PY_SAT_RUNS.items()
    }
    best = max(py_sat, key=lambda threads: py_sat[threads].orders_per_second)
    py_sat_best, bare, one = Series([py_sat[best]]), Series(), Series()
    # In turn, so that other work on the machine affects all of them.
    for number in range(rounds):
        bare.runs.append(_told("bare limit", bench.bare(orders, IN_FLIGHT)))
        one.runs.append(_told("one task process", bench.pipeline(orders, IN_FLIGHT)))
        if number:
            py_sat_best.runs.append(
                _told(f"py-sat-sdk, {best} threads", bench.py_sat(PY_SAT_RUNS[best], best))
            )
    small, two = Series(), Series()
    share = min(orders // 2, 4000)
    for _ in range(rounds):
        small.runs.append(_told("one at 64 in flight", bench.pipeline(share, SMALL_IN_FLIGHT)))
        two.runs.append(_told("two at 64 in flight", bench.pipeline(2 * share, SMALL_IN_FLIGHT, 2)))
    document = one.runs[-1].documents[0]
    served = CALLS_PER_ORDER * one.orders_per_second
    everything = [*bare.runs, *one.runs, *small.runs, *two.runs, *py_sat_best.runs]
    others = [run.others_cores for run in everything if run.others_cores is not None]
    return {
        "ratio_to_py_sat_best": round(one.orders_per_second / py_sat_best.orders_per_second, 2),
        "ratio_to_bare_limit": round(one.orders_per_second / bare.orders_per_second, 3),
        "ratio_two_processes": round(two.orders_per_second / small.orders_per_second, 2),
        "orders": orders,
        "orders_per_second": round(one.orders_per_second, 1),
        "peak_memory_megabytes": max(run.documents[0]["peak_megabytes"] for run in one.runs),
        "resident_megabytes_after": document["resident_megabytes"],
        "seconds_of_phase": {name: round(s, 2) for name, s in document["seconds_of_phase"].items()},
        "is_quiet": bool(others) and max(others) <= QUIET_CORES,
        "stub": {
            "latency_seconds": LATENCY_SECONDS,
            "requests_per_second_at_most": round(headroom),
            "requests_per_second_needed": round(served),
            "headroom": round(headroom / served, 1),
        },
        "one_process": {"in_flight": IN_FLIGHT, **one.as_dict()},
        "bare_limit": {"in_flight": IN_FLIGHT, **bare.as_dict()},
        "py_sat_best": {"threads": best, **py_sat_best.as_dict()},
        "py_sat_by_threads": {
            str(threads): round(run.orders_per_second, 1) for threads, run in py_sat.items()
        },
        "one_process_small": {"in_flight": SMALL_IN_FLIGHT, **small.as_dict()},
        "two_processes_small": {"in_flight_each": SMALL_IN_FLIGHT, **two.as_dict()},
        "postgresql": bench.durability(),
        "machine": {
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "began_at": began_at.isoformat(timespec="seconds"),
        },
    }


def _told(what: str, run: Run) -> Run:
    noise = "" if not run.others_cores else f", others kept {run.others_cores:.2f} cores busy"
    console.print(f"{what}: {run.orders_per_second:,.0f} orders/s over {run.orders:,}{noise}")
    return run


def _show(report: dict[str, Any]) -> None:
    table = Table(title=f"Inquiry, checkout and one status; {LATENCY_SECONDS * 1000:.0f} ms latency")
    for column, justify in (
        ("", "left"),
        ("orders/s", "right"),
        ("lowest–highest", "right"),
        ("runs", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    rows = (
        (
            f"py-sat-sdk, best of {len(PY_SAT_RUNS)} pools ({report['py_sat_best']['threads']} threads)",
            "py_sat_best",
        ),
        (f"bare limit, {IN_FLIGHT} in flight", "bare_limit"),
        (f"one task process, {IN_FLIGHT} in flight", "one_process"),
        (f"one task process, {SMALL_IN_FLIGHT} in flight", "one_process_small"),
        (f"two task processes, {SMALL_IN_FLIGHT} in flight each", "two_processes_small"),
    )
    for title, name in rows:
        series = report[name]
        speed = f"{series['orders_per_second']:,.0f}"
        table.add_row(title, speed, f"{series['lowest']:,.0f}–{series['highest']:,.0f}", str(series["runs"]))
    console.print(table)
    goals = Table(title="Goals")
    for column in ("", "measured", "goal", ""):
        goals.add_column(column)
    for name, goal in TARGETS.items():
        goals.add_row(name, str(report[name]), f"≥ {goal}", "met" if report[name] >= goal else "missed")
    memory = report["peak_memory_megabytes"]
    verdict = "met" if memory <= MEMORY_TARGET_MEGABYTES else "missed"
    goals.add_row("peak memory (MB)", str(memory), f"≤ {MEMORY_TARGET_MEGABYTES}", verdict)
    console.print(goals)
    stub = report["stub"]
    console.print(f"The stub could serve {stub['headroom']} times as much as one process asked of it.")
    if not report["is_quiet"]:
        console.print("Other work ran on this machine meanwhile: trust the ratios more than the speeds.")


if __name__ == "__main__":
    main()
