"""The base of the project's errors. The end of an order is never an exception (law 9)."""

from __future__ import annotations


class StepError(RuntimeError):
    """Base of the project's errors: the step did not finish and, by default, can be retried."""

    is_worth_a_retry = True
