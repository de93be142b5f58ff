"""Golden histories: the stored log of one life each, and the states and results it gave then.

A file is written once. Its events never change: real logs hold the same events.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter

from sat_hook import domain
from sat_hook.audit.findings import Finding
from sat_hook.audit.rebuild import fold_stream
from sat_hook.domain.account import AccountStanding
from sat_hook.domain.batch import Batch
from sat_hook.domain.books import AccountBooks, fold_books
from sat_hook.domain.books_events import BooksEvent
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId, StreamKind, registered_events
from sat_hook.pipeline.results import render_results
from sat_hook.store.as_of import as_of_position
from sat_hook.store.event_store import EventStore
from sat_hook.store.log import Placed
from sat_hook.testing.event_store import MemoryAsOf
from sat_hook.testing.spool import MemorySpool

FOLDER = Path(__file__).parent


class RecordedLog:
    """A read-only log."""

    def __init__(self, events: Iterable[RecordedEvent]) -> None:
        self.events = list(events)

    def as_of(self, position: int) -> MemoryAsOf:
        return MemoryAsOf(self.events, position)

    def close_position(self) -> int:
        return self.events[-1].position if self.events else 0


@dataclass(frozen=True)
class History:
    """One golden history.

    :param submitted: the spooled files by URI.
    :param states: the state of each stream.
    :param results: the result file of each batch, as of the last event.
    """

    title: str
    events: tuple[RecordedEvent, ...]
    submitted: dict[str, str]
    states: dict[str, dict[str, Any]]
    results: dict[str, str]

    @property
    def event_types(self) -> set[tuple[str, int]]:
        """Name and schema version of everything in it."""
        return {(event.type_name, event.schema_version) for event in self.events}

    def streams(self) -> Iterator[tuple[StreamId, list[RecordedEvent]]]:
        """Each stream's events, by version."""
        ordered = sorted(self.events, key=lambda event: (str(event.stream), event.version))
        for stream, events in groupby(ordered, key=lambda event: event.stream):
            yield stream, list(events)


def states_of(history: History) -> dict[str, dict[str, Any]]:
    """Return each stream's state by today's code."""
    states = {}
    for stream, events in history.streams():
        folded = fold_stream(stream, [Placed(event, events[-1].version) for event in events], _refuse)
        assert folded is not None
        states[str(stream)] = folded.after.model_dump(mode="json")
        if isinstance(folded.after, AccountStanding) and any(isinstance(e.event, BooksEvent) for e in events):
            # They are in the account's stream and have their own fold.
            books = fold_books(folded.after.account, events)
            states[f"books/{stream.key}"] = TypeAdapter(AccountBooks).dump_python(books, mode="json")
    return states


def results_of(history: History) -> dict[str, str]:
    """Return the result files by today's code."""
    store = cast(EventStore, RecordedLog(history.events))
    spool = MemorySpool({uri: text.encode("utf-8") for uri, text in history.submitted.items()})
    past = as_of_position(store, store.close_position())
    results = {}
    for stream, _ in history.streams():
        if stream.kind is StreamKind.BATCH:
            batch = past.load_batch(stream.key)
            assert isinstance(batch, Batch)
            if batch.spool_uri in spool.blobs:
                results[stream.key] = render_results(past, spool, stream.key).content.decode("utf-8-sig")
    return results


def names() -> list[str]:
    """Return the names of the committed histories."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> History:
    """Load a committed history."""
    document = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    events = tuple(_event_from(row) for row in document.pop("events"))
    return History(events=events, **document)


def save(name: str, history: History) -> None:
    """Write a history; each line of a file is one line of the text."""
    document = {
        "title": history.title,
        "events": [_event_as_row(event) for event in history.events],
        "submitted": history.submitted,
        "states": history.states,
        "results": history.results,
    }
    (FOLDER / f"{name}.json").write_text(
        json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )


def missing_types() -> set[tuple[str, int]]:
    """Return name and schema version of every event in the code that no history holds."""
    for module in pkgutil.iter_modules(domain.__path__, f"{domain.__name__}."):
        importlib.import_module(module.name)
    return set(registered_events()) - {key for name in names() for key in load(name).event_types}


def _refuse(finding: Finding) -> None:
    raise AssertionError(str(finding))


def _event_as_row(event: RecordedEvent) -> dict[str, Any]:
    return {
        **asdict(event),
        "stream": str(event.stream),
        "occurred_at": event.occurred_at.isoformat(),
        "recorded_at": event.recorded_at.isoformat(),
    }


def _event_from(row: dict[str, Any]) -> RecordedEvent:
    return RecordedEvent(
        **{
            **row,
            "stream": StreamId.parse(row["stream"]),
            "provenance": Provenance(**row["provenance"]),
            "occurred_at": datetime.fromisoformat(row["occurred_at"]),
            "recorded_at": datetime.fromisoformat(row["recorded_at"]),
        }
    )
