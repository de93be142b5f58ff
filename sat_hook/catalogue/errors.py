"""Errors of price lists and their charts."""

from __future__ import annotations


class TooManyPeriodsError(ValueError):
    """More changes than a chart can show; choose a shorter time."""


class PriceListRefusedError(ValueError):
    """The list exceeds the limits of a price list, so it changes nothing. Says found and expected."""
