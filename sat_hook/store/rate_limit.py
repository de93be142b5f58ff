"""The limits that all workers of an account share: requests per second and requests in flight.

They are kept in PostgreSQL, which all workers can reach. Permits have short leases, so a killed worker's
permits are freed. Moments are taken in blocks, so a limit does not cost a round trip per request.
"""

from __future__ import annotations

from sat_hook.domain.ports import RequestAllowance
from sat_hook.store.database import Database
from sat_hook.store.statements import queries


class PostgresRequestRegister:
    """One process' access to the limits of one account
    (a :class:`~sat_hook.domain.ports.RequestRegister`).

    :param holder: a name that is unique to the process.
    :param requests_per_second: of all processes together; ``None`` means no limit.
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
