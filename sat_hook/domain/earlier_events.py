"""Events in shapes that are written no more. Logs hold them, so they are read for ever.

A class here has the name of its successor and a lower schema version.
"""

from __future__ import annotations

from sat_hook.domain.event import Event, register


@register
class BatchResultsWritten(Event):
    """A result file was written from the log, nobody noted at which position. ``digest`` is its SHA-256."""

    uri: str
    digest: str
    rows: int
