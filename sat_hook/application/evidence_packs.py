"""Evidence packs: a person requests and downloads them; a task writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from sat_hook.application.installation import Installation
from sat_hook.application.person import Person
from sat_hook.application.rights import Right
from sat_hook.audit import exports
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.export import Export


@dataclass(frozen=True, slots=True)
class EvidencePacks:
    """Exports of evidence."""

    installation: Installation

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
        :raises RightMissingError: the person may not audit.
        """
        person.require(Right.AUDIT)
        return exports.request_export(
            self.installation.store(),
            SystemClock(),
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
        :raises RightMissingError: the person may not audit.
        """
        person.require(Right.AUDIT)
        store = self.installation.store()
        uri = exports.load_export(store, export_id).uri
        pack = self.installation.results().open(uri) if uri is not None else None
        try:
            handed = exports.hand_out(store, SystemClock(), export_id, person.by("export"))
        except BaseException:
            if pack is not None:
                pack.close()
            raise
        assert pack is not None
        return handed, pack
