"""Uploaded settlement files before their import: operational state, for one owner each."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.store.statements import Statements


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload.

    :param mapping: how it is read at present.
    """

    upload_id: str
    account: str
    name: str
    content: bytes
    mapping: SettlementMapping
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """An upload without its bytes."""

    upload_id: str
    account: str
    name: str
    created_at: datetime


class SettlementUploadTable(Statements, room="settlement_uploads"):
    """The table ``sat.settlement_uploads``."""

    def add(
        self,
        upload_id: str,
        owner: str,
        *,
        account: str,
        name: str,
        content: bytes,
        mapping: SettlementMapping,
        most: int,
    ) -> bool:
        """Keep an upload; False when the owner has ``most`` already."""
        added = self._run(
            self._sql.add_upload,
            upload_id=upload_id,
            owner=owner,
            account=account,
            name=name,
            content=zlib.compress(content, 1),
            mapping=mapping.model_dump_json(),
            most=most,
        )
        return added is not None

    def load(self, upload_id: str, owner: str) -> StoredUpload | None:
        """An upload of its owner; None for any other."""
        row = self._run(self._sql.load_upload, upload_id=upload_id, owner=owner)
        if row is None:
            return None
        found, account, name, content, mapping, created_at = row
        return StoredUpload(
            found,
            account,
            name,
            zlib.decompress(bytes(content)),
            SettlementMapping.model_validate_json(mapping),
            created_at,
        )

    def of_owner(self, owner: str) -> list[ListedUpload]:
        """The uploads of an owner, the newest first."""
        return [ListedUpload(*row) for row in self._run(self._sql.uploads_of, owner=owner)]

    def set_mapping(self, upload_id: str, owner: str, mapping: SettlementMapping) -> None:
        """Read an upload by another mapping from now on."""
        self._run(
            self._sql.set_upload_mapping,
            upload_id=upload_id,
            owner=owner,
            mapping=mapping.model_dump_json(),
        )

    def discard(self, upload_id: str, owner: str) -> None:
        self._run(self._sql.delete_upload, upload_id=upload_id, owner=owner)

    def discard_old(self, hours: int) -> None:
        """Delete the uploads of all owners that are older."""
        self._run(self._sql.delete_old_uploads, hours=hours)
