"""The data that every side of a benchmark shares: orders, prices, keys, and SAT's signed statuses."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sat_hook.clients.settings import AccountSettings
from sat_hook.domain.identity import request_id_of
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.signing import Signer, Verifier, generate_key_pair

ACCOUNT = "bench"
PRODUCT = "pln-postpaid"
PRICE_RUPIAH = 27_500
SIGNING_PROCESSES = 2


class SignedStatus(NamedTuple):
    """A signed Success: the exact bytes, and the signature over them."""

    body: bytes
    signature: str


@dataclass(frozen=True)
class Keys:
    """The folder with the PEM files of both sides."""

    folder: Path

    @classmethod
    def made_in(cls, folder: Path) -> Keys:
        """Make two new key pairs."""
        for owner in ("client", "sat"):
            private, public = generate_key_pair()
            (folder / f"{owner}_private.pem").write_bytes(private)
            (folder / f"{owner}_public.pem").write_bytes(public)
        return cls(folder)

    def pem(self, name: str) -> str:
        """``client_private``, ``client_public``, ``sat_private`` or ``sat_public``."""
        return (self.folder / f"{name}.pem").read_text("ascii")


def order_id(number: int) -> str:
    """The submitter's order id of order ``number``, counted from 1."""
    return f"bench-{number}"


def request_id(number: int) -> str:
    """The request id of order ``number``."""
    return request_id_of(ACCOUNT, order_id(number))


def client_number(number: int) -> str:
    """The bill of order ``number``."""
    return f"5{number:011d}"


def settings(url: str, keys: Keys, in_flight: int) -> AccountSettings:
    """Return the account's settings for the pipeline's client."""
    return AccountSettings(
        account=ACCOUNT,
        environment=Environment.CUSTOM,
        base_url=f"{url}/api",
        token_url=f"{url}/token",
        client_id="bench",
        client_secret="bench",  # noqa: S106 - of a stub that asks for none
        signer=Signer(keys.pem("client_private")),
        verifier=Verifier([keys.pem("sat_public")]),
        max_in_flight=in_flight,
    )


def write_statuses(path: Path, keys: Keys, orders: int) -> None:
    """Sign a Success for every order, before anything is measured."""
    share = -(-orders // SIGNING_PROCESSES)
    ranges = [(keys, first, min(first + share, orders + 1)) for first in range(1, orders + 1, share)]
    with ProcessPoolExecutor(SIGNING_PROCESSES) as pool:
        lines = [line for part in pool.map(_signed, ranges) for line in part]
    path.write_text("".join(lines), "ascii")


def read_statuses(path: Path) -> dict[str, SignedStatus]:
    """Read the statuses of :func:`write_statuses`, by request id."""
    statuses = {}
    with path.open(encoding="ascii") as lines:
        for line in lines:
            request, body, signature = line.rstrip("\n").split("\t")
            statuses[request] = SignedStatus(body.encode("ascii"), signature)
    return statuses


def _signed(part: tuple[Keys, int, int]) -> list[str]:
    keys, first, end = part
    signer = Signer(keys.pem("sat_private"))
    lines = []
    for number in range(first, end):
        attributes = {
            "client_name": "TOKOPXXXX UXX",
            "client_number": client_number(number),
            "fields": None,
            "fulfilled_at": "2026-11-02T10:00:00+07:00",
            "fulfillment_result": [{"name": "Nama", "value": "TOKOPXXXX UXX"}],
            "partner_fee": 1000,
            "product_code": PRODUCT,
            "sales_price": PRICE_RUPIAH,
            "serial_number": f"SN{number:010d}",
            "status": "Success",
        }
        body = json.dumps({"data": {"type": "order", "id": request_id(number), "attributes": attributes}})
        lines.append(f"{request_id(number)}\t{body}\t{signer.sign(body.encode('ascii'))}\n")
    return lines
