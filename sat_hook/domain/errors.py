"""The base of the project's errors, and the rules' own. The end of an order is never an exception (law 9)."""

from __future__ import annotations


class StepError(RuntimeError):
    """Base of the project's errors: the step did not finish and, by default, can be retried."""

    is_worth_a_retry = True


class NoRetryError(StepError):
    """Base of the errors that a retry does not help: something must change first."""

    is_worth_a_retry = False


class UnreadableCheckpointError(ValueError):
    """The text is not a checkpoint of this release."""


class UnknownEventError(LookupError):
    """The log holds an event type or schema version that this release does not know."""


class NotificationRefusedError(ValueError):
    """A choice cannot be kept. The text says what was found and expected."""


class WebhookRefusedError(ValueError):
    """A webhook, its address or its secrets cannot be used. The text says what was found, never a secret."""
