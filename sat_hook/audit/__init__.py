"""Verifies that the log is complete and that everything derived from it agrees with it."""
