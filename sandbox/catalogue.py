"""Products: every code of the protocol's section 10, and three of ours for cases without a sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sandbox.wire import resource

ACTIVE = 1
INACTIVE = 2
TEMPORARILY_INACTIVE = 3


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the price list (protocol 5.3). Rupiah; the admin fee is part of a bill or price."""

    code: str
    name: str
    price_rupiah: int
    is_inquiry: bool = False
    status: int = ACTIVE
    partner_fee_rupiah: int = 0
    admin_fee_rupiah: int = 0
    has_voucher: bool = False
    withdrawn: bool = False
    """Listed, but refused at checkout, because the price list is slightly old."""

    def document(self) -> dict[str, Any]:
        """The resource with the vendor page's names: ``product_name`` and ``price``."""
        attributes = {
            "is_inquiry": self.is_inquiry,
            "price": self.price_rupiah,
            "product_name": self.name,
            "status": self.status,
        }
        return resource("product", self.code, attributes)


SAMPLE_PRODUCTS: Sequence[Product] = (
    Product("25k-xl", "XL 25,000", 25_100),
    Product("25k-three", "Three 25,000", 25_100),
    Product("15k-xl", "XL 15,000", 15_600),
    Product("50k-simpati", "Simpati 50,000", 52_000),
    Product("t25k", "Telkomsel 25,000", 369),
    Product("test-1", "test-product", 0),
    Product("test2", "", 0),
    Product("test4", "", 0),
    Product("kode-voucher-google-100k", "Google Play Rp 100.000", 100_000, has_voucher=True),
    Product(
        "pln-prepaid-token-50k-sat", "Token PLN 50.000", 52_500, admin_fee_rupiah=2_500, has_voucher=True
    ),
    Product("pln-prepaid-token-100k", "Token PLN 100.000", 102_500, admin_fee_rupiah=2_500, has_voucher=True),
    Product("pln-postpaid", "PLN Pascabayar", 0, True, partner_fee_rupiah=1_000, admin_fee_rupiah=2_500),
    Product("speedy-indihome", "Telkom Indihome", 0, True, partner_fee_rupiah=2_000, admin_fee_rupiah=2_500),
    Product("pasca-telkomsel", "Telkomsel Halo", 0, True, admin_fee_rupiah=2_500),
    Product(
        "pdam-jabar-kota-cirebon",
        "PDAM Kota Cirebon",
        0,
        True,
        partner_fee_rupiah=100,
        admin_fee_rupiah=2_500,
    ),
    Product("kta-bank-dbs", "Bank DBS KTA Bank DBS", 4_797_124, True, admin_fee_rupiah=2_500),
)

OWN_PRODUCTS: Sequence[Product] = (
    Product("100k-indosat", "Indosat 100,000", 100_500, status=INACTIVE),
    Product("20k-axis", "Axis 20,000", 20_500, status=TEMPORARILY_INACTIVE),
    Product("voucher-game-50k", "Voucher Game 50,000", 50_000, has_voucher=True, withdrawn=True),
)


class Catalogue:
    """The price list of one server; prices and statuses can change while it runs."""

    def __init__(self, products: Iterable[Product] = (*SAMPLE_PRODUCTS, *OWN_PRODUCTS)) -> None:
        self._products = {product.code: product for product in products}

    def __iter__(self) -> Iterator[Product]:
        return iter(self._products.values())

    def get(self, code: str) -> Product | None:
        """The product, or ``None``."""
        return self._products.get(code)

    def reprice(self, code: str, price_rupiah: int) -> None:
        """From now on the product costs this."""
        self._products[code] = replace(self._products[code], price_rupiah=price_rupiah)

    def set_status(self, code: str, status: int) -> None:
        """From now on the product has this status."""
        self._products[code] = replace(self._products[code], status=status)

    def listing(self, codes: Sequence[str], *, inactive_too: bool = True) -> list[Product]:
        """The requested products, in the list's order; all of them without a code."""
        if codes:
            wanted = set(codes)
            return [product for product in self if product.code in wanted]
        return [product for product in self if inactive_too or product.status == ACTIVE]
