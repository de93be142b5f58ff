"""The base of the project's own errors. The end of an order is never an exception (law 9)."""

from __future__ import annotations


class StepError(RuntimeError):
    """Base of the project's own trouble: the step did not finish and, by default, can be run again."""

    is_worth_a_retry = True
