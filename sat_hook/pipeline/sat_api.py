"""What the pipeline needs of SAT, as a port: the asynchronous client in life, a lying one in simulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sat_hook.domain.ports import SendWindow
from sat_hook.protocol.messages import Account, Inquiry, InquiryRequest, Product
from sat_hook.protocol.outcomes import CheckoutOutcome, StatusOutcome


class SATApi(Protocol):
    """The calls of one account. Those that return an outcome never raise for what the wire does."""

    async def account(self) -> Account:
        """The deposit; raises SATError."""

    async def list_products(self, codes: Sequence[str] | None = None) -> list[Product]:
        """The catalogue; raises SATError."""

    async def inquiry(self, request: InquiryRequest) -> Inquiry:
        """The bill of one client number; raises SATError."""

    async def place_order(self, body: bytes, request_id: str, window: SendWindow | None) -> CheckoutOutcome:
        """Send exactly these bytes once, if the window is still open at the last moment."""

    async def ask_status(self, request_id: str) -> StatusOutcome:
        """What became of an order."""
