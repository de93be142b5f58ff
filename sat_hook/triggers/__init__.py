"""Triggers: asynchronous waits. They may run twice at once, so only GETs leave from here (law 7)."""
