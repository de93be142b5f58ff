"""Reconciliation: the business day of an account is closed against everything that can be held beside it."""
