"""Reconciliation: closes an account's business day and compares its books with every other source."""
