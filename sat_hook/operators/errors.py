"""Errors of operators. Most errors of a task are those of the step that it runs."""

from __future__ import annotations


class PriceListDoubtedError(RuntimeError):
    """The price list is not plausible. It is stored as an attempt, and changes no price."""
