"""Compare a machine's clock with the database's. A machine whose clock is too far off sends nothing."""

from __future__ import annotations

from sat_hook.domain.ports import Clock
from sat_hook.store.clock import StoreClock


def clock_is_apart(clock: Clock, grace_seconds: float) -> str | None:
    """Why this machine must not send: its clock differs from the database's by more than the grace. Blocks.

    :raises StoreUnavailableError: when the database is away.
    """
    if not isinstance(clock, StoreClock):
        return None
    clock.measure()
    ahead = clock.ahead.total_seconds()
    if abs(ahead) <= grace_seconds:
        return None
    return (
        f"this machine's clock is {abs(ahead):,.0f} seconds {'ahead of' if ahead > 0 else 'behind'} the "
        f"database's; expected at most {grace_seconds:g}. Set it, best by NTP, then clear the task"
    )
