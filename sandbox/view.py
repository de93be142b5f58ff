"""The judge's view of the ledger as plain data: what was posted, accepted, charged, refunded and answered.

Rupiah are integers, times RFC 3339 in UTC. Client numbers are shown in full, because this is a view for
tests. Vouchers and serials are never shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from sandbox.clock import rfc3339
from sandbox.deposit import ConservationError, Movement
from sandbox.ledger import Entry
from sandbox.world import ACCOUNT_ID, World


def ledger_view(
    world: World, request_ids: Collection[str] = (), *, totals_only: bool = False
) -> dict[str, Any]:
    """The whole ledger, or only some request ids; ``conserved`` is checked against every order."""
    ledger = world.ledger
    entries: Iterable[Entry] = ledger.entries.values()
    if request_ids:
        entries = [entry for entry in entries if entry.request_id in request_ids]
    view: dict[str, Any] = {
        "account": ACCOUNT_ID,
        "seed": world.seed,
        "now": rfc3339(world.now()),
        "deposit": deposit_view(world),
        "totals": _totals(ledger.entries.values(), world),
    }
    if not totals_only:
        view["requests"] = {entry.request_id: _entry_view(entry) for entry in entries}
        view["business_orders"] = _business_orders(entries)
    return view


def deposit_view(world: World) -> dict[str, Any]:
    """The deposit's sums; ``problem`` names what does not add up."""
    deposit = world.ledger.deposit
    moved = deposit.moved_rupiah
    problem = None
    try:
        world.ledger.audit()
    except ConservationError as error:
        problem = str(error)
    return {
        "opening_rupiah": deposit.opening_rupiah,
        "topped_up_rupiah": moved[Movement.TOP_UP],
        "charged_rupiah": moved[Movement.CHARGE],
        "refunded_rupiah": moved[Movement.REFUND],
        "reclaimed_rupiah": moved[Movement.RECLAIM],
        "foreign_spend_rupiah": moved[Movement.FOREIGN_SPEND],
        "now_rupiah": deposit.balance_rupiah,
        "conserved": problem is None,
        "problem": problem,
    }


def _totals(entries: Iterable[Entry], world: World) -> dict[str, Any]:
    totals: Counter[str] = Counter()
    by_status: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for entry in entries:
        totals["request_ids"] += 1
        totals["posted"] += entry.posted
        totals["lost"] += entry.lost
        totals["duplicates"] += entry.duplicates
        totals["refused"] += entry.refused.total()
        totals["charged"] += len(entry.orders)
        totals["refunded"] += sum(order.refunds for order in entry.orders)
        totals["reclaimed"] += sum(order.reclaims for order in entry.orders)
        totals["double_charged"] += len(entry.orders) > 1
        totals["net_rupiah"] += sum(order.net_rupiah for order in entry.orders)
        by_status[entry.current.status.value if entry.current else "none"] += 1
        answers.update(str(callback["answer"]) for callback in entry.callbacks)
    names = ("request_ids", "posted", "lost", "duplicates", "refused", "charged", "refunded", "reclaimed")
    return {
        **{name: totals[name] for name in (*names, "double_charged", "net_rupiah")},
        "by_status": dict(by_status),
        "callback_answers": dict(answers),
        "callbacks_under_way": world.outbox.under_way,
        "faults_fired": dict(world.faults.fired),
    }


def _entry_view(entry: Entry) -> dict[str, Any]:
    order = entry.current
    orders = entry.orders
    return {
        "product_code": entry.product_code,
        "client_number": entry.client_number,
        "reference": entry.reference,
        "posted": entry.posted,
        "lost": entry.lost,
        "accepted": len(orders),
        "duplicates": entry.duplicates,
        "refused": dict(entry.refused),
        "charged": len(orders),
        "charged_rupiah": sum(order.charged_rupiah for order in orders),
        "refunded": sum(order.refunds for order in orders),
        "refunded_rupiah": sum(order.refunds * order.charged_rupiah for order in orders),
        "reclaimed": sum(order.reclaims for order in orders),
        "reclaimed_rupiah": sum(order.reclaims * order.charged_rupiah for order in orders),
        "net_rupiah": sum(order.net_rupiah for order in orders),
        "double_charged": len(orders) > 1,
        "status": order.status.value if order else None,
        "error_code": order.error_code if order else None,
        "accepted_at": rfc3339(order.accepted_at) if order else None,
        "fulfilled_at": rfc3339(order.fulfilled_at) if order and order.fulfilled_at else None,
        "asked": dict(entry.asked),
        "callbacks": [
            {
                **{name: value for name, value in callback.items() if name != "request_id"},
                "at": rfc3339(callback["at"]),
            }
            for callback in entry.callbacks
        ],
    }


def _business_orders(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Orders by product, client number and reference: reveals one business order under two request ids."""
    grouped: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        grouped.setdefault((entry.product_code, entry.client_number, entry.reference), []).append(entry)
    return [
        {
            "product_code": product_code,
            "client_number": client_number,
            "reference": reference,
            "request_ids": [entry.request_id for entry in group],
            "posted": sum(entry.posted for entry in group),
            "accepted": sum(len(entry.orders) for entry in group),
            "charged": sum(len(entry.orders) for entry in group),
            "refunded": sum(order.refunds for entry in group for order in entry.orders),
            "paid": sum(order.is_paid for entry in group for order in entry.orders),
            "net_rupiah": sum(order.net_rupiah for entry in group for order in entry.orders),
        }
        for (product_code, client_number, reference), group in grouped.items()
    ]
