"""``python -m tests.golden``: record a golden history, or compare one with today's code.

record NAME…    play the story and write tests/golden/NAME.json; an existing file is never written again
expect NAME…    keep its events, renew their results: read the difference before you commit it
missing         event types and schema versions that are in no history
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sat_hook.testing.spool import MemorySpool
from tests.golden.histories import FOLDER, History, load, missing_types, names, results_of, save, states_of

if TYPE_CHECKING:
    from tests.golden.stories import Story


def main(arguments: list[str]) -> int:
    """Exit code 0 when all was done."""
    match arguments:
        case ["record", *chosen] if chosen:
            return _record(chosen)
        case ["expect", *chosen] if chosen and set(chosen) <= set(names()):
            for name in chosen:
                save(name, _renewed(load(name)))
            return 0
        case ["missing"]:
            for name, version in sorted(missing_types()):
                print(f"{name} {version}")
            return 1 if missing_types() else 0
        case _:
            print(__doc__)
            return 2


def stories() -> dict[str, Story]:
    """Return every story, by the name of its history."""
    from tests.golden import office_stories, upload_stories, withdrawal_stories
    from tests.golden.stories import STORIES

    assert office_stories.story  # importing them registers their stories
    assert upload_stories.story
    assert withdrawal_stories.story
    return STORIES


def _record(chosen: list[str]) -> int:
    from tests.postgres import DatabaseTemplate, server_for_tests

    told = stories()
    wanted = [name for name in told if name not in names()] if chosen == ["all"] else chosen
    for name in wanted:
        if name not in told:
            print(f"{name}: found no such story; expected one of {', '.join(told)}")
            return 2
        if (FOLDER / f"{name}.json").exists():
            print(f"{name}: found a history of this name, which is never written again; tell another story")
            return 2
    with server_for_tests() as dsn, tempfile.TemporaryDirectory() as folder:
        template = DatabaseTemplate(dsn)
        for name in wanted:
            print(name)
            save(name, _played(name, template, Path(folder)))
        template.drop()
    return 0


def _played(name: str, template, folder: Path) -> History:  # type: ignore[no-untyped-def]
    from tests.pipeline import line_of

    story, spool = stories()[name], MemorySpool()
    with template.copy() as database, line_of(database.writer_dsn, folder, story.scenario) as line:
        line.spool = spool  # type: ignore[assignment]
        story.play(line)
        events = tuple(line.store.read_log(0, line.store.close_position(), 1_000_000))
    submitted = {
        uri: content.decode("utf-8") for uri, content in spool.blobs.items() if "/results/" not in uri
    }
    return _renewed(History(story.title, events, submitted, {}, {}))


def _renewed(history: History) -> History:
    return replace(history, states=states_of(history), results=results_of(history))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
