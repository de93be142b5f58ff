"""py-sat-sdk in a pool of threads: inquiry, checkout and one status for each order, one after the other.

Each thread has its own client. With a shared one, its pool of ten connections would drop and reopen
connections for most requests. This way every thread keeps its connection, which shows the SDK at its best.
"""

from __future__ import annotations

import argparse
import logging
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.processes import ready, told
from benchmarks.world import PRICE_RUPIAH, PRODUCT, Keys, client_number, request_id

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from py_sat import SATClient, SATClientConfig
    from py_sat.models import InquiryRequest, OrderRequest


def _client(url: str, keys: Keys) -> SATClient:
    silent = logging.Logger("py_sat", logging.CRITICAL)  # its debug log would cost time
    config = SATClientConfig(
        client_id="bench",
        client_secret="bench",  # noqa: S106 - of a stub that asks for none
        private_key=keys.pem("client_private"),
        sat_public_key=keys.pem("sat_public"),
    )
    config = config.with_sat_base_url(f"{url}/api").with_access_token_base_url(f"{url}/token")
    return SATClient(config.with_logger(silent))


def main() -> None:
    """Place ``--orders`` orders with ``--threads`` threads."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.py_sat_side", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--orders", type=int, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # dataclasses-json, about null where it expects a list
    mine = threading.local()
    keys = Keys(options.keys)
    gate = threading.Barrier(options.threads)

    def prepare() -> None:
        mine.sat = _client(options.url, keys)
        mine.sat.ping()
        gate.wait(60)

    def place(number: int) -> None:
        sat: SATClient = mine.sat
        bill = sat.inquiry(InquiryRequest(product_code=PRODUCT, client_number=client_number(number)))
        assert bill.sales_price == PRICE_RUPIAH
        order = OrderRequest(
            id=request_id(number),
            product_code=PRODUCT,
            client_number=client_number(number),
            amount=bill.sales_price,
        )
        assert sat.checkout(order).status == "Pending"
        assert sat.check_status(request_id(number)).status == "Success"

    with ThreadPoolExecutor(options.threads) as pool:
        for done in [pool.submit(prepare) for _ in range(options.threads)]:
            done.result()
        ready()
        began = time.perf_counter()
        for _ in pool.map(place, range(1, options.orders + 1)):
            pass
        seconds = time.perf_counter() - began
    told({"orders": options.orders, "seconds": seconds})


if __name__ == "__main__":
    main()
