"""Errors of price lists and their charts."""

from __future__ import annotations

from sat_hook.domain.errors import StepError


class TooManyPeriodsError(ValueError):
    """More changes than a chart can show; choose a shorter time."""


class PriceListRefusedError(ValueError):
    """The list exceeds the limits of a price list, so it changes nothing. Says found and expected."""


class PriceListDoubtedError(StepError):
    """The price list is not plausible. It is stored as an attempt, and changes no price."""
