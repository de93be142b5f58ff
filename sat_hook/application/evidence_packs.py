"""Evidence packs: a person requests and downloads them; a task writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import BinaryIO, NamedTuple

from sat_hook.application.pages import Page, cursor_of, list_name, place_in
from sat_hook.application.rights import Person, Right
from sat_hook.application.runs import Run, Runs
from sat_hook.application.service import Service
from sat_hook.audit import exports
from sat_hook.audit.errors import ExportNotFoundError
from sat_hook.domain.business_day import business_day
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.export import EXPORT_DECIDER, Export, ExportHandedOut, ExportRequested, ExportWritten
from sat_hook.domain.masking import masked_words
from sat_hook.domain.people import user_named
from sat_hook.store.log_pages import LAST_POSITION, LogPages, LogSlice

EXPORT_DAG = "audit_export"
PAGE = 20


class Receiver(NamedTuple):
    """Who downloaded a pack, and when."""

    user: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRow:
    """An evidence pack that was asked for.

    :param asker: who asked for it.
    :param reason: without long numbers.
    :param written: what was written last, and when; None while nothing is.
    :param receivers: who downloaded it, the last one first.
    """

    export: Export
    asker: str
    reason: str
    written: ExportWritten | None
    written_at: datetime | None
    receivers: tuple[Receiver, ...]

    @property
    def first_day(self) -> date:
        """The first business day of the period."""
        return business_day(self.export.recorded_from)

    @property
    def last_day(self) -> date:
        """The last business day of the period."""
        return business_day(self.export.recorded_before - timedelta(microseconds=1))

    def is_for(self, person: Person) -> bool:
        """Whether the person may download it: one with personal data goes only to its asker."""
        return not self.export.with_personal_data or person.name == self.asker


@dataclass(frozen=True, slots=True)
class EvidencePacks(Service):
    """Exports of evidence."""

    def packs(self, person: Person, *, cursor: str | None = None) -> Page[PackRow]:
        """The packs that were asked for, the newest first."""
        person.require(Right.AUDIT)
        name, store = list_name("packs"), self.store
        (before,) = place_in(name, cursor, tuple[int]) or (LAST_POSITION,)
        which = LogSlice(types=(ExportRequested.__name__,))
        asked = LogPages(store.database).newest(which, PAGE + 1, before)
        rows = tuple(self._row(recorded.stream.key) for recorded in asked[:PAGE])
        return Page(rows, None if len(asked) <= PAGE else cursor_of(name, (asked[PAGE - 1].position,)))

    def pack(self, export_id: str, person: Person) -> PackRow:
        """One pack.

        :raises ExportNotFoundError: there is no such export.
        """
        person.require(Right.AUDIT)
        return self._row(export_id)

    def start(self, export_id: str, person: Person, runs: Runs) -> None:
        """Start the run that writes the pack, unless it was started.

        :raises ExportNotFoundError: there is no such export.
        :raises RunsError: Airflow refuses, for example because the person may not start the DAG.
        """
        person.require(Right.AUDIT)
        exports.load_export(self.store, export_id)
        runs.start(EXPORT_DAG, export_id, {"export_id": export_id}, note=f"console: {person.name}")

    def run(self, export_id: str, person: Person, runs: Runs) -> Run | None:
        """The run that writes a pack; None when it was not started.

        :raises RunsError: Airflow refuses.
        """
        person.require(Right.AUDIT)
        return runs.find(EXPORT_DAG, export_id)

    def request(
        self,
        *,
        recorded_from: datetime,
        recorded_before: datetime,
        with_personal_data: bool,
        reason: str,
        person: Person,
    ) -> Export:
        """Record that the person requests the evidence of a period.

        :raises ExportRefusedError: the period is empty or too long.
        """
        person.require(Right.AUDIT)
        return exports.request_export(
            self.store,
            self.clock,
            recorded_from=recorded_from,
            recorded_before=recorded_before,
            with_personal_data=with_personal_data,
            reason=reason,
            provenance=person.by("export"),
        )

    def hand_out(self, export_id: str, person: Person) -> tuple[Export, BinaryIO]:
        """The pack, which the caller closes. It is opened first, then the download is recorded.

        :raises ExportNotFoundError: there is no such export.
        :raises ExportRefusedError: the pack is not written yet, or belongs to another person.
        :raises SpoolError: the pack cannot be read; nothing is recorded.
        """
        person.require(Right.AUDIT)
        store = self.store
        uri = exports.load_export(store, export_id).uri
        pack = self.installation.results().open(uri) if uri is not None else None
        try:
            handed = exports.hand_out(store, self.clock, export_id, person.by("export"))
        except BaseException:
            if pack is not None:
                pack.close()
            raise
        assert pack is not None
        return handed, pack

    def _row(self, export_id: str) -> PackRow:
        recorded = self.store.read_stream(StreamId(StreamKind.EXPORT, export_id))
        export = EXPORT_DECIDER.fold(export_id, ((item.event, item.occurred_at) for item in recorded))
        if export is None:
            raise ExportNotFoundError(f"there is no export {export_id}")
        written = [(item.event, item.occurred_at) for item in recorded]
        last = next(((e, at) for e, at in reversed(written) if isinstance(e, ExportWritten)), (None, None))
        return PackRow(
            export=export,
            asker=_person_of(recorded[0]),
            reason=masked_words(export.reason),
            written=last[0],
            written_at=last[1],
            receivers=tuple(
                Receiver(_person_of(item), item.occurred_at)
                for item in reversed(recorded)
                if isinstance(item.event, ExportHandedOut)
            ),
        )


def _person_of(recorded: RecordedEvent) -> str:
    actor = recorded.provenance.actor
    return user_named(actor) or actor
