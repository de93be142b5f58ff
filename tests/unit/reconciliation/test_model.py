"""Days, ages and the waterfall."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from sat_hook.domain.business_day import BusinessDay
from sat_hook.reconciliation.close_digest import digest_of_close
from sat_hook.reconciliation.day_orders import DayOrders
from sat_hook.reconciliation.settlement_names import day_in_name, is_copy
from tests.reconciliation_days import DAY, closed_day


@pytest.mark.parametrize(
    ("moment", "cut_off_minutes", "day"),
    [
        (datetime(2026, 11, 22, 16, 59, 59, tzinfo=UTC), 0, date(2026, 11, 22)),
        (datetime(2026, 11, 22, 17, 0, tzinfo=UTC), 0, date(2026, 11, 23)),
        (datetime(2026, 11, 22, 15, 59, tzinfo=UTC), -60, date(2026, 11, 22)),
        (datetime(2026, 11, 22, 16, 0, tzinfo=UTC), -60, date(2026, 11, 23)),
        (datetime(2026, 11, 22, 18, 59, tzinfo=UTC), 120, date(2026, 11, 22)),
    ],
)
def test_a_moment_is_of_the_day_between_two_cut_offs(
    moment: datetime, cut_off_minutes: int, day: date
) -> None:
    """Jakarta's day, moved by the cut-off; the moment lies inside."""
    found = BusinessDay.of(moment, cut_off_minutes)
    assert found.day == day
    assert found.opens_at <= moment < found.closes_at
    assert found.closes_at - found.opens_at == timedelta(days=1)


def test_breaks_age_by_bands() -> None:
    """From its first day on, as the report names them."""
    item = closed_day(10).breaks[0]
    bands = [
        replace(item, first_seen=DAY - timedelta(days=age)).age_band(DAY)
        for age in (0, 1, 2, 7, 8, 30, 31, 400)
    ]
    assert bands == [
        *["0-1 days"] * 2,
        *["2-7 days"] * 2,
        *["8-30 days"] * 2,
        *["over 30 days"] * 2,
    ]


def test_the_digest_tells_any_two_results_apart() -> None:
    """The same twice is the same; one cell, one break, or the position make another."""
    close = closed_day(50)
    digest = digest_of_close(close)
    assert digest_of_close(closed_day(50)) == digest
    orders = close.orders.frame.copy()
    orders.loc[7, "charged_rupiah"] += 1
    assert digest_of_close(replace(close, orders=DayOrders.of(orders))) != digest
    renamed = close.orders.frame.copy()
    renamed["state"] = renamed["state"].cat.rename_categories({"failed": "reversed"})
    assert digest_of_close(replace(close, orders=DayOrders.of(renamed))) != digest
    assert digest_of_close(replace(close, breaks=close.breaks[1:])) != digest
    assert digest_of_close(replace(close, position=close.position + 1)) != digest


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("settlement-2026-11-22.csv", date(2026, 11, 22)),
        ("SAT_20261122_corrected.xlsx", date(2026, 11, 22)),
        ("settlement.csv", None),
        ("settlement-2026-13-40.csv", None),
        ("2012349912-settlement-20261122.csv", date(2026, 11, 22)),
        ("settlement-2026-11-22_made-20261123003000.csv", date(2026, 11, 22)),
        ("settlement-2026-11-22_made-2026-11-23.csv", None),
        ("settlement-2026-1122.csv", None),
    ],
)
def test_a_file_s_day_is_in_its_name(name: str, day: date | None) -> None:
    """As the provider mails it; of two days it is unclear which is meant."""
    assert day_in_name(name) == day


def test_a_second_download_is_told_by_its_name() -> None:
    """Whatever a browser or a desktop calls a copy, in English and Indonesian; other names are no copies."""
    copies = ["{} (1)", "{}(2)", "{} - Copy", "{} - Copy (2)", "{} copy 2", "{} (copy)", "{} (another copy)",
              "{} (3rd copy)", "{}_copy", "Copy of {}", "Copy (2) of {}", "{} - Salinan", "{} (salinan)",
              "{} salinan 2", "{} - Salin", "Salinan {}"]  # fmt: skip
    others = ["{}", "{}-v2", "{}-final", "{} final", "laporan 20261102"]
    name = "settlement-2026-11-02"
    assert {form for form in (*copies, *others) if is_copy(f"{form.format(name)}.csv")} == set(copies)
