"""All refusals of the sandbox as data, and which of them are guesses.

``guess`` marks codes and bodies that no public source shows: table 4.8 of the vendor's pages could not be
read (protocol, limits of the evidence). A client must treat them as unknown codes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One entry of ``errors`` (protocol section 8)."""

    code: str
    http_status: int
    detail: str
    guess: bool = False


NOT_FOUND = Refusal("P02", 400, "Transaction is not found")
DUPLICATE = Refusal("P03", 400, "Duplicate Request ID, please check your system")
NO_PRODUCT = Refusal("P04", 400, "Product not found")
INTERNAL = Refusal("S00", 500, "Internal Server Error")
UNAUTHORIZED = Refusal("P90", 401, "Unauthorized", guess=True)
BAD_SIGNATURE = Refusal("P91", 400, "Invalid signature", guess=True)
MALFORMED = Refusal("P92", 400, "Invalid request", guess=True)
BAD_AMOUNT = Refusal("P93", 400, "Invalid amount", guess=True)
PRICE_CHANGED = Refusal("P94", 400, "Amount does not match the bill", guess=True)
NO_FUNDS = Refusal("P98", 400, "Insufficient balance", guess=True)
NO_ROUTE = Refusal("P99", 404, "Not found", guess=True)
BAD_METHOD = Refusal("P99", 405, "Method not allowed", guess=True)
TOO_LARGE = Refusal("P99", 413, "Request body too large", guess=True)

PRODUCT_UNAVAILABLE_CODE = "S02"
PRODUCT_UNAVAILABLE_DETAIL = "Product is not available"

ALL = (
    NOT_FOUND,
    DUPLICATE,
    NO_PRODUCT,
    INTERNAL,
    UNAUTHORIZED,
    BAD_SIGNATURE,
    MALFORMED,
    BAD_AMOUNT,
    PRICE_CHANGED,
    NO_FUNDS,
    NO_ROUTE,
    BAD_METHOD,
    TOO_LARGE,
)
