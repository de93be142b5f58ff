"""`sat log verify` finds what was done to the evidence of prices, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from sat_hook.audit.log_verification import verify_log
from sat_hook.store.database import Database
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import damage
from tests.price_shop import LIST, Shop


@pytest.fixture
def shop(database: ApplicationDatabase) -> Iterator[Shop]:
    """Four snapshots: the first, an unchanged one, one in which a product is gone, one where it is back."""
    made = Shop(database)
    made.snapshot()
    made.snapshot()
    made.change("product-03", price_rupiah=7)
    made.remove("product-07")
    made.snapshot()
    made.sat.products.append(LIST[7])
    made.snapshot()
    yield made
    made.writer.close()


def findings(shop: Shop) -> list[str]:
    """What a reader's verification says."""
    found: list[str] = []
    with closing(Database(shop.database.reader_dsn)) as reader:
        verify_log(reader, lambda finding: found.append(str(finding)))
    return found


def test_an_untouched_history_is_whole(shop: Shop) -> None:
    """Nothing is found, by the reader's own role."""
    assert findings(shop) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE sat.price_changes SET price_rupiah = 8 WHERE snapshot_id = 3 AND price_rupiah = 7",
            ["price_snapshots/3: evidence_changed: found another lines", "price list of demo"],
        ),
        (
            "DELETE FROM sat.price_changes WHERE snapshot_id = 3 AND kind = 'disappeared'",
            ["price_snapshots/3: evidence_changed: found another lines"],
        ),
        (
            "UPDATE sat.price_snapshots SET asked_at = asked_at - interval '1 day' WHERE snapshot_id = 4",
            ["price_snapshots/4: evidence_changed: found another time"],
        ),
        (
            "UPDATE sat.price_snapshots SET state_digest = repeat('0', 64) WHERE snapshot_id = 2",
            ["price_snapshots/2: evidence_changed: found another list without any change"],
        ),
        (
            "DELETE FROM sat.price_snapshots WHERE snapshot_id = 3",
            ["price_snapshots/3: evidence_missing: found no price snapshot", "price list of demo"],
        ),
        (
            "UPDATE sat.products SET product_code = 'product-99' WHERE product_code = 'product-05'",
            ["price_snapshots/1: evidence_changed: found another lines", "price list of demo"],
        ),
        (
            "INSERT INTO sat.price_changes SELECT 2, product_id, 'changed', name, 1, is_inquiry, status, "
            "operator_name, category_name FROM sat.price_changes WHERE snapshot_id = 1 "
            "AND price_rupiah = 1000",
            ["price_snapshots/2: evidence_changed: found changes that the log does not know", "price list"],
        ),
        (
            "INSERT INTO sat.price_snapshots (account, outcome, asked_at, ended_at, changes, state_digest, "
            "missing_limit_percent, actor, cause) SELECT account, outcome, now(), now(), 0, repeat('1', 64), "
            "0, actor, cause FROM sat.price_snapshots WHERE snapshot_id = 1",
            ["price_snapshots/5: evidence_changed: found another list without any change", "price list"],
        ),
    ],
)
def test_what_was_changed_is_found_and_located(shop: Shop, statement: str, found: list[str]) -> None:
    """By a superuser, past triggers and privileges."""
    damage(shop.database, statement)
    said = findings(shop)
    assert len(said) == len(found), said
    for expected, line in zip(found, said, strict=True):
        assert line.startswith(expected)
