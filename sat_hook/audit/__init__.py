"""Proves afterwards that the log is whole and that everything derived from it agrees with it."""
