"""The bare limit: the same three calls, signed and verified, in one asyncio process; no database, no rules.

Plain aiohttp and cryptography, as for a quick script. It uses no code of the product.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from benchmarks.processes import ready, told
from benchmarks.world import PRICE_RUPIAH, PRODUCT, Keys, client_number, request_id

_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
_ANY_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)


async def _place_all(url: str, keys: Keys, orders: int, in_flight: int) -> float:
    private = serialization.load_pem_private_key(keys.pem("client_private").encode(), None)
    public = serialization.load_pem_public_key(keys.pem("sat_public").encode())
    assert isinstance(private, RSAPrivateKey)
    assert isinstance(public, RSAPublicKey)
    loop = asyncio.get_running_loop()
    numbers = iter(range(1, orders + 1))
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": "Bearer bench",
    }

    def sign(body: bytes) -> str:
        return base64.b64encode(private.sign(body, _PSS, hashes.SHA256())).decode("ascii")

    with ThreadPoolExecutor(2) as signing:
        connector = aiohttp.TCPConnector(limit=in_flight)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

            async def place(number: int) -> None:
                attributes: dict[str, object] = {
                    "product_code": PRODUCT,
                    "client_number": client_number(number),
                }
                body = json.dumps({"data": {"type": "inquiry", "attributes": attributes}}).encode()
                async with session.post(f"{url}/api/v2/inquiry", data=body) as response:
                    bill = json.loads(await response.read())
                attributes["amount"] = bill["data"]["attributes"]["sales_price"]
                assert attributes["amount"] == PRICE_RUPIAH
                order = {"data": {"type": "order", "id": request_id(number), "attributes": attributes}}
                body = json.dumps(order).encode()
                signature = await loop.run_in_executor(signing, sign, body)
                signed = {"Signature": signature}
                async with session.post(f"{url}/api/v2/order", data=body, headers=signed) as response:
                    assert json.loads(await response.read())["data"]["attributes"]["status"] == "Pending"
                async with session.get(f"{url}/api/v2/order/{request_id(number)}") as response:
                    raw = await response.read()
                    public.verify(
                        base64.b64decode(response.headers["Signature"]), raw, _ANY_PSS, hashes.SHA256()
                    )
                assert json.loads(raw)["data"]["attributes"]["status"] == "Success"

            async def place_some() -> None:
                for number in numbers:
                    await place(number)

            async with session.get(f"{url}/api/ping") as response:
                await response.read()
            ready()
            began = time.perf_counter()
            await asyncio.gather(*(place_some() for _ in range(in_flight)))
            return time.perf_counter() - began


def main() -> None:
    """Place ``--orders`` orders, ``--in-flight`` at a time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_side", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    options = parser.parse_args()
    seconds = asyncio.run(_place_all(options.url, Keys(options.keys), options.orders, options.in_flight))
    told({"orders": options.orders, "seconds": seconds})


if __name__ == "__main__":
    main()
