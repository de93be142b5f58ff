"""What is said of a file before anything of it is recorded, and what a submission refuses at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.batch import BatchState
from sat_hook.domain.guards import AccountRules, GuardRules
from sat_hook.pipeline.batch_check import BatchCheck, Surroundings, check_batch
from sat_hook.pipeline.errors import AccountPausedError, SubmissionRefusedError
from sat_hook.pipeline.file_submission import FileSubmission, submit_file
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.pipeline.overrides import pause_account
from sat_hook.pipeline.validation import catalogue_of
from sat_hook.store.event_store import Need
from sat_hook.store.guards import PostgresGuardLedger
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line

HEADER = "order_id,product_code,client_number\n"
MIXED = (
    HEADER
    + "A-1,50k-simpati,081211311111\n"
    + "A-2,50k-simpti,081211311112\n"
    + "A-3,50k-simpati,\n"
    + "A-4,50k-simpati,081211311111\n"
    + "A-5,pln-postpaid,532110000001\n"
).encode()


def check(
    line: Line, content: bytes, rules: AccountRules | None = None, policy: str = "proceed"
) -> BatchCheck:
    """Check a file against the line's account."""
    with BlockingSATClient(line.settings, SystemClock()) as sat:
        around = Surroundings(
            store=line.store,
            ledger=PostgresGuardLedger(line.store.database),
            funds=line.funds,
            clock=SystemClock(),
            rules=rules or AccountRules(),
            catalogue=lambda: catalogue_of(sat.list_products()),
            deposit=line.look,
        )
        return check_batch(
            around,
            account=ACCOUNT,
            reference=None,
            file_name="orders.csv",
            content=content,
            on_bad_rows=BadRowsPolicy(policy),
        )


def submit(line: Line, content: bytes, policy: str = "proceed") -> FileSubmission:
    """Submit a file as the route does."""
    return submit_file(
        line.store,
        line.spool,
        SystemClock(),
        account=ACCOUNT,
        reference=None,
        file_name="orders.csv",
        content=content,
        provenance=BY_TEST,
        on_bad_rows=BadRowsPolicy(policy),
    )


def test_a_check_says_what_a_run_would_and_records_nothing(line: Line) -> None:
    """Rows by reason, a guess at a mistyped product, duplicates, prices, the deposit; no event, no file."""
    found = check(line, MIXED)
    assert (found.rows, found.payable, found.bills, found.known_rows) == (5, 2, 1, 0)
    assert found.needs == (
        Need("held", "business_duplicate", 1),
        Need("refused", "missing_client_number", 1),
        Need("rejected", "unknown_product", 1),
    )
    assert [(row.row_number, row.order_id) for row in found.findings] == [(3, "A-2"), (4, "A-3"), (5, "A-4")]
    assert "did you mean '50k-simpati'?" in found.findings[0].message
    assert found.total_rupiah > 0
    assert found.free_rupiah == found.saldo_rupiah == line.look().saldo_rupiah
    assert (found.missing_rupiah, found.needs_approval) == (0, False)
    assert line.store.close_position() == 0
    assert not list(line.spool._folder.rglob("*.csv"))


def test_a_check_agrees_with_the_run(line: Line) -> None:
    """The same rows need a person, for the same reasons."""
    expected = check(line, MIXED)
    batch_id = submit(line, MIXED).submission.batch_id
    line.take_in(batch_id)
    needs = line.store.needs([batch_id])[batch_id]
    # Duplicates are held by the guards, which were not asked yet.
    assert set(needs) == {need for need in expected.needs if need.standing != "held"}


def test_orders_of_one_product_are_judged_each_by_its_own_row(line: Line) -> None:
    """A check quotes the orders of a product alike: their numbers, ceilings and earlier lives stay theirs."""
    line.run(HEADER.encode() + b"A-1,50k-simpti,081211311110\n")  # rejected, so another batch may receive it
    lines = (
        "A-1,50k-simpati,081211311111,",
        "A-2,50k-simpati,081211311112,",
        "A-3,50k-simpati,081211311111,",
    )
    found = check(
        line, "\n".join((f"{HEADER.strip()},max_rupiah", *lines, "A-4,50k-simpati,081211311113,1\n")).encode()
    )
    assert [(row.row_number, row.code) for row in found.findings] == [
        (4, "business_duplicate"),
        (5, "above_maximum"),
    ]
    ((_, orders, price, rupiah),) = found.products
    assert (orders, rupiah) == (2, 2 * (price or 0))


def test_a_check_knows_what_was_submitted_before(line: Line) -> None:
    """The same file is the same batch; a row of an earlier batch is not paid again; duplicates count."""
    line.run(HEADER.encode() + b"A-1,50k-simpati,081211311111\n")
    again = HEADER.encode() + b"A-1,50k-simpati,081211311111\nB-1,50k-simpati,081211311111\n"
    found = check(line, again)
    assert (found.known_rows, found.payable) == (1, 0)
    assert found.needs == (Need("held", "business_duplicate", 1),)
    known = check(line, HEADER.encode() + b"A-1,50k-simpati,081211311111\n").known_batch
    assert known is not None
    assert known.state is BatchState.QUOTED


def test_a_check_says_whether_somebody_must_approve_and_what_is_missing(line: Line) -> None:
    """With bills, whose price is unknown, it may depend on them."""
    over = AccountRules(GuardRules(), approval_over_rupiah=0)
    one = HEADER.encode() + b"A-1,50k-simpati,081211311111\n"
    assert check(line, one, over).needs_approval is True
    assert check(line, MIXED, AccountRules(approval_over_rupiah=10**9)).needs_approval is None
    line.server.spend_elsewhere(line.look().saldo_rupiah - 1_000)
    found = check(line, one)
    assert found.missing_rupiah == found.total_rupiah - 1_000


def test_a_check_says_that_the_account_is_paused(line: Line) -> None:
    """Everything else is said as well: the pause may be over when the file is submitted."""
    pause_account(line.handler, ACCOUNT, "a look first", BY_TEST)
    assert check(line, MIXED).pause_reason == "a look first"


@pytest.mark.parametrize("act", [check, submit], ids=["check", "submit"])
@pytest.mark.parametrize(
    ("content", "policy", "sentence"),
    [
        (b"order_id,product_code\nA-1,50k-simpati\n", "proceed", "client_number"),
        (HEADER.encode(), "proceed", "a header and no rows"),
        (b"  \n", "proceed", "an empty file"),
        (b"PK\x03\x04\x00\x00", "proceed", "orders.csv"),
        (MIXED, "refuse", "1 of 5 rows needs you: 1 missing_client_number; the first: orders.csv row 4"),
    ],
)
def test_a_file_that_cannot_be_a_batch_is_refused_at_once(
    line: Line, act: Callable[..., object], content: bytes, policy: str, sentence: str
) -> None:
    """With its reasons, and nothing of it is kept."""
    with pytest.raises(SubmissionRefusedError, match=sentence):
        act(line, content, policy=policy)
    assert line.store.close_position() == 0
    assert not list(line.spool._folder.rglob("*.csv"))


def test_a_submission_says_how_many_rows_cannot_become_orders(line: Line) -> None:
    """Before the run has begun."""
    found = submit(line, MIXED)
    assert found.findings is not None
    assert (found.findings.rows, found.findings.needs) == (5, (Need("refused", "missing_client_number", 1),))


def test_a_paused_account_takes_no_file_in(line: Line) -> None:
    """It would end in a red run. A file that was submitted before is still recognised."""
    submitted = submit(line, MIXED)
    pause_account(line.handler, ACCOUNT, "a look first", BY_TEST)
    with pytest.raises(AccountPausedError, match="a look first"):
        submit(line, MIXED + b"\n")
    again = submit(line, MIXED)
    assert (again.submission.batch_id, again.submission.is_new) == (submitted.submission.batch_id, False)


def test_a_refused_file_names_its_first_row_that_sat_would_not_take(line: Line) -> None:
    """Where, what was found and what was expected; a client number in a wrong column is hidden."""
    content = f"{HEADER}A-1,081211311111,081211311111\n".encode()
    with pytest.raises(SubmissionRefusedError) as caught:
        check(line, content, policy="refuse")
    message = str(caught.value)
    assert "the first: orders.csv row 2: found product 12 digits; expected one that SAT lists" in message
    assert "081211311111" not in message
