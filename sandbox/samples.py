"""Sample numbers: the answers of the protocol's section 10, and plausible answers for any other number.

Amounts of other numbers come from a digest of product and number only, so a test can predict them, and
servers agree whatever their seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.catalogue import Product
from sandbox.chance import Chance

FAILING_NUMBER = "2121212"
BROKEN_INQUIRY_NUMBER = "102111496000"
_PLN_NUMBERS = (FAILING_NUMBER, "111111111111")

MINIMUM_BILL_RUPIAH = 20_000
MAXIMUM_BILL_RUPIAH = 150_000
_BILL_STEP_RUPIAH = 50

_BASE_RUPIAH = {
    **{("pln-postpaid", number): 25_000 for number in _PLN_NUMBERS},
    ("pdam-jabar-kota-cirebon", "0811111111"): 49_250,
    ("pasca-telkomsel", "081222308111"): 99_500,
}
_digest = Chance(0)


@dataclass(frozen=True, slots=True)
class Bill:
    """The result of an inquiry. Rupiah; the sales price is base plus admin fee (protocol 5.4)."""

    product_code: str
    client_number: str
    client_name: str
    base_price_rupiah: int
    admin_fee_rupiah: int
    meter_id: str
    lines: Sequence[tuple[str, str]]

    @property
    def sales_price_rupiah(self) -> int:
        return self.base_price_rupiah + self.admin_fee_rupiah

    def attributes(self, fields: object) -> dict[str, Any]:
        """The attributes of the inquiry's answer; ``fields`` echoes the request's."""
        return {
            "admin_fee": self.admin_fee_rupiah,
            "base_price": self.base_price_rupiah,
            "client_name": self.client_name,
            "client_number": self.client_number,
            "fields": fields,
            "inquiry_result": [{"name": name, "value": value} for name, value in self.lines],
            "meter_id": self.meter_id,
            "product_code": self.product_code,
            "sales_price": self.sales_price_rupiah,
        }


@dataclass(frozen=True, slots=True)
class Goods:
    """What a successful order delivers (protocol 5.6)."""

    serial_number: str
    voucher_code: str
    client_name: str
    admin_fee_rupiah: int
    lines: Sequence[tuple[str, str]] | None


def bill_of(product: Product, client_number: str, change_rupiah: int = 0) -> Bill:
    """The bill of a number; ``change_rupiah`` is what price changes have added."""
    base = _base_rupiah(product, client_number) + change_rupiah
    admin = product.admin_fee_rupiah
    if product.code == "pln-postpaid":
        name, lines = "TOKOPXXXX UXX", _pln_lines(client_number, base, admin)
    elif product.code.startswith("pdam-"):
        name, lines = "BUD* SANTO**", _pdam_lines(client_number, base, admin)
    else:
        name = "TOKOPXXXX UXX"
        lines = [
            ("Nomor Pelanggan", client_number),
            ("Nama Pelanggan", name),
            ("Total Tagihan", _spaced(base)),
            ("Biaya Admin", _spaced(admin)),
            ("Total Bayar", _spaced(base + admin)),
        ]
    meter_id = client_number if product.code.startswith("pln-") else ""
    return Bill(product.code, client_number, name, base, admin, meter_id, lines)


def fails_at_fulfilment(client_number: str) -> bool:
    """Whether the samples show this number's orders Failed with S02."""
    return client_number == FAILING_NUMBER


def goods_of(product: Product, client_number: str, request_id: str, price_rupiah: int) -> Goods:
    """What the order delivers: the samples' serials, or a serial from the request id's digest."""
    serial = _digest.digits(12, "serial", request_id)
    if product.code == "pln-prepaid-token-100k" and client_number == "102111106111":
        return Goods("5196 15840828 2085 4701", "5196 1584 0828 2085 4701", "User", 0, [])
    if product.code == "50k-simpati" and client_number == "081211311111":
        return Goods("TLKM0305956071", "", "", 0, None)
    if product.code == "speedy-indihome" and client_number.endswith("1111"):
        serial = "174298636"
    if product.code == "pdam-jabar-kota-cirebon" and client_number == "0811111111":
        serial = "123412341234"
    if product.has_voucher:
        token = _digest.digits(20, "voucher", request_id)
        code = " ".join(token[start : start + 4] for start in range(0, 20, 4))
        return Goods(code, code, "User", product.admin_fee_rupiah, [])
    if not product.is_inquiry:
        return Goods(serial, "", "", 0, None)
    name = "BUDI SANTOSO" if product.code.startswith("pdam-") else "Tokopedia User Default"
    lines = _receipt_lines(client_number, name, serial, price_rupiah, product.admin_fee_rupiah)
    return Goods(serial, "", name, product.admin_fee_rupiah, lines)


def _base_rupiah(product: Product, client_number: str) -> int:
    if not product.is_inquiry or product.price_rupiah:
        return product.price_rupiah - product.admin_fee_rupiah
    if product.code == "speedy-indihome" and client_number.endswith("1111"):
        return 1_000
    known = _BASE_RUPIAH.get((product.code, client_number))
    if known is not None:
        return known
    steps = (MAXIMUM_BILL_RUPIAH - MINIMUM_BILL_RUPIAH) // _BILL_STEP_RUPIAH + 1
    step = int(_digest.fraction("bill", product.code, client_number) * steps)
    return MINIMUM_BILL_RUPIAH + step * _BILL_STEP_RUPIAH


def _pln_lines(client_number: str, base: int, admin: int) -> list[tuple[str, str]]:
    # Names repeat in another case: folding these lines into a mapping loses two of them (protocol 4).
    return [
        ("ID Pelanggan", client_number),
        ("Nama", "TOKOPXXXX UXX"),
        ("Total Bayar", _spaced(base + admin)),
        ("IDPEL", client_number),
        ("NAMA", "Tokopedia User Default"),
        ("TOTAL TAGIHAN", "1 BULAN"),
        ("BL/TH", "MAR20"),
        ("RP TAG PLN", _spaced(base)),
        ("ADMIN BANK", _spaced(admin)),
        ("TOTAL BAYAR", _spaced(base + admin)),
    ]


def _pdam_lines(client_number: str, base: int, admin: int) -> list[tuple[str, str]]:
    return [
        ("Nama PDAM", "Kota Cirebon"),
        ("No. Pelanggan", client_number),
        ("Nama", "BUD* SANTO**"),
        ("Total Tagihan", _tight(base + admin)),
        ("Periode", "DEC21"),
        ("Pemakaian", "10 M3"),
        ("Jumlah Tagihan", _tight(base)),
        ("Biaya Admin", _tight(admin)),
    ]


def _receipt_lines(
    client_number: str, name: str, serial: str, price: int, admin: int
) -> list[tuple[str, str]]:
    return [
        ("Nomor Referensi", serial),
        ("Nama Pelanggan", name),
        ("Nomor Pelanggan", client_number),
        ("Jumlah Tagihan", "1"),
        ("Total Tagihan", _spaced(max(0, price - admin))),
        ("Biaya Admin", _spaced(admin)),
        ("Total Bayar", _spaced(price)),
    ]


def _spaced(rupiah: int) -> str:
    return f"Rp {rupiah:,}".replace(",", ".")


def _tight(rupiah: int) -> str:
    return f"Rp{rupiah:,}".replace(",", ".")
