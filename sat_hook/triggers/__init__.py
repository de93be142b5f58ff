"""Triggers: asynchronous waits. They may run twice at once, so they send only GETs (law 7)."""
