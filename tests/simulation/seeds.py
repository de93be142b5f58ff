"""Seeds that show much: together all that must happen, and each of them a planted bug.

``python -m tests.simulation.seeds`` searches for them and writes ``seeds.json``. Run it when a change of the
simulation gives seeds other events; until then the tests run more seeds and take longer.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.simulation.__main__ import prepare_worker, run_range
from tests.simulation.happenings import BOUNDARIES, EVERY_THOUSAND_SEEDS, RARE
from tests.simulation.planted import BUGS
from tests.simulation.simulation import run_seed

KEPT = Path(__file__).with_name("seeds.json")
SEEDS_A_BUG = 400
SEEDS_AT_ONCE = 300
SEEDS_AT_MOST = 20_000

REQUIRED = frozenset((*EVERY_THOUSAND_SEEDS, *RARE, *BOUNDARIES))


@dataclass(frozen=True, slots=True)
class RemarkableSeeds:
    """What the search has found.

    :ivar covering: seeds in which everything happens that must happen.
    :ivar bugs: a seed that finds each planted bug.
    """

    covering: list[int]
    bugs: dict[str, int]


def remarkable_seeds() -> RemarkableSeeds:
    """Those of the last search."""
    return RemarkableSeeds(**json.loads(KEPT.read_text("utf-8")))


def happened(counters: Counter[str]) -> frozenset[str]:
    """Those of the required happenings that were counted."""
    stopped = [name for name in counters if name.startswith("process:")]
    at = (place for place in BOUNDARIES if any(place in name for name in stopped))
    return frozenset((*at, *(name for name in REQUIRED if counters[name])))


def covering(seen: Mapping[int, frozenset[str]]) -> list[int]:
    """Few seeds in which as much happens as in all of these: first the one with the most news."""
    chosen, missing = [], frozenset[str]().union(*seen.values())
    while missing:
        seed = max(seen, key=lambda seed: len(seen[seed] & missing))
        chosen.append(seed)
        missing -= seen[seed]
    return sorted(chosen)


def _of_seed(seed: int) -> frozenset[str]:
    return happened(run_range([seed]).counters)


def _finding(number: int) -> tuple[str, int]:
    bug = BUGS[number]
    known = remarkable_seeds().bugs.get(bug.name, 1)
    with bug.planted_in():
        found = (seed for seed in (known, *range(1, SEEDS_A_BUG + 1)) if run_seed(seed).broken is not None)
        return bug.name, next(found, 0)


def main() -> None:
    """Search, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1)
    first = parser.parse_args().first_seed
    with ProcessPoolExecutor(os.cpu_count(), initializer=prepare_worker) as pool:
        known = remarkable_seeds().covering
        seen = dict(zip(known, pool.map(_of_seed, known), strict=True))
        for start in range(first, first + SEEDS_AT_MOST, SEEDS_AT_ONCE):
            seeds = range(start, start + SEEDS_AT_ONCE)
            seen |= zip(seeds, pool.map(_of_seed, seeds, chunksize=25), strict=True)
            missing = REQUIRED.difference(*seen.values())
            print(f"{len(seen)} seeds, {len(missing)} happenings are missing", flush=True)
            if not missing:
                break
        bugs = dict(pool.map(_finding, range(len(BUGS))))
    found = RemarkableSeeds(covering(seen), bugs)
    KEPT.write_text(json.dumps(asdict(found), indent=1, sort_keys=True) + "\n", "utf-8")
    print(f"{len(found.covering)} seeds cover what must happen; written to {KEPT}")


if __name__ == "__main__":
    main()
