"""The plugin's routes for evidence packs, called as the user who runs the command."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from sat_hook.cli.airflow_api import AirflowApi
from sat_hook.cli.errors import CommandError

DAG_ID = "audit_export"
BYTES_PER_PART = 1 << 18
DOWNLOAD_SECONDS = 600.0


class AuditApi(AirflowApi):
    """One user's session with Airflow, for evidence packs.

    Every method raises :class:`CommandError` with a message for that user.
    """

    dag_id: ClassVar[str] = DAG_ID

    def ask_for_export(
        self, recorded_from: datetime, recorded_before: datetime, *, with_personal_data: bool, reason: str
    ) -> str:
        """Request the evidence of a period. Returns the export's id."""
        asked = {
            "recorded_from": recorded_from.isoformat(),
            "recorded_before": recorded_before.isoformat(),
            "with_personal_data": with_personal_data,
            "reason": reason,
        }
        return str(self._post("/sat/v1/exports", asked)["export_id"])

    def start(self, export_id: str) -> None:
        """Start the run that writes the pack. If the run exists, it continues."""
        self.trigger(export_id, {"export_id": export_id}, DAG_ID)

    def state(self, export_id: str) -> str:
        """Return the state of the run that writes the pack."""
        return str(self.run(export_id, DAG_ID)["state"])

    def take(self, export_id: str, target: Path) -> str:
        """Download the pack into a file that only its owner can read. Returns its SHA-256. The download is
        recorded.
        """
        from sat_hook.store.private_files import private_file

        reply = self._ask("POST", f"/sat/v1/exports/{export_id}/pack", seconds=DOWNLOAD_SECONDS, stream=True)
        digest = hashlib.sha256()
        try:
            with reply, private_file(target) as file:
                for part in reply.iter_content(BYTES_PER_PART):
                    digest.update(part)
                    file.write(part)
                if digest.hexdigest() != reply.headers.get("X-Content-SHA256"):
                    raise CommandError.at(
                        self.url, "a pack that was cut off on its way", "the whole one; try again"
                    )
        except OSError as error:
            raise CommandError.of_system(f"--output {target}", error, "a file that can be written") from None
        return digest.hexdigest()
