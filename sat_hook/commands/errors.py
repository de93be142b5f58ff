"""What can go wrong with a step of the work itself. The end of an order is never an exception (law 9)."""

from __future__ import annotations


class StepError(RuntimeError):
    """Base of the project's own trouble: the step did not finish and, by default, can be run again."""

    is_worth_a_retry = True


class ContentionError(StepError):
    """A stream kept changing while a command for it was decided; something else is working on it."""


class BatchNotFoundError(StepError):
    """No batch has this id."""

    is_worth_a_retry = False
