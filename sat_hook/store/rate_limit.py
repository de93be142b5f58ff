"""The limits that all workers of an account share: requests a second, and requests in flight.

Kept in PostgreSQL because it is there for all of them: short leases on permits, so that those of a killed
worker come back, and moments taken in blocks, so that a limit does not cost a round trip for each request.
"""

from __future__ import annotations

from sat_hook.domain.ports import RequestAllowance
from sat_hook.store.database import Database
from sat_hook.store.statements import queries


class PostgresRequestRegister:
    """One process' access to the limits of one account
    (a :class:`~sat_hook.domain.ports.RequestRegister`).

    :param holder: names the process; must be its alone.
    :param requests_per_second: of all processes together; ``None`` is without limit.
    :param max_in_flight: of all processes together.
    """

    def __init__(
        self,
        database: Database,
        *,
        account: str,
        holder: str,
        requests_per_second: float | None,
        max_in_flight: int,
    ) -> None:
        self._database = database
        self._account = account
        self._holder = holder
        self._requests_per_second = requests_per_second
        self._max_in_flight = max_in_flight
        self._limits = queries("rate_limit")

    def take(self, *, in_use: int, wanted: int, moments: int, lease_seconds: float) -> RequestAllowance:
        """See :meth:`~sat_hook.domain.ports.RequestRegister.take`.

        :raises StoreUnavailableError: when the database does not answer.
        """
        with self._database.transaction() as connection:
            ((permits, holders, taken, delay),) = self._limits.take_requests(
                connection,
                account=self._account,
                holder=self._holder,
                requests_per_second=self._requests_per_second,
                max_in_flight=self._max_in_flight,
                in_use=in_use,
                wanted=wanted,
                moments=moments,
                lease_seconds=lease_seconds,
            )
        return RequestAllowance(permits, holders, taken, delay)
