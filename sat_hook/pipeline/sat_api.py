"""The port to SAT: implemented by the asynchronous client, and in simulation by one that lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from sat_hook.domain.ports import SendWindow
from sat_hook.protocol.calls import Call, Reply
from sat_hook.protocol.messages import Inquiry, InquiryRequest, Product
from sat_hook.protocol.outcomes import CheckoutOutcome, StatusOutcome

T = TypeVar("T")


class SATApi(Protocol):
    """The calls of one account. Calls that return an outcome never raise for network errors."""

    async def ask(self, call: Call[T]) -> Reply[T]:
        """The answer to any call, with its bytes; raises SATError."""

    async def list_products(self, codes: Sequence[str] | None = None) -> list[Product]:
        """The catalogue; raises SATError."""

    async def inquiry(self, request: InquiryRequest) -> Inquiry:
        """The bill of one client number; raises SATError."""

    async def place_order(self, body: bytes, request_id: str, window: SendWindow | None) -> CheckoutOutcome:
        """Send exactly these bytes once, if the send window is still open at the last moment."""

    async def ask_status(self, request_id: str) -> StatusOutcome:
        """The status of an order."""
