"""The documents about batches that the API answers with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sat_hook.application.batch_details import BatchStep
from sat_hook.application.batch_standing import BatchStanding
from sat_hook.application.runs import RunState
from sat_hook.domain.batch import BatchState
from sat_hook.domain.order import OrderState
from sat_hook.web.api.models import Document, HistoryEntry


class Batch(Document):
    """A batch. See :class:`sat_hook.application.batch_standing.BatchRow`."""

    batch_id: str
    file_name: str
    reference: str
    maker: str | None
    submitted_at: datetime
    account: str
    standing: BatchStanding
    state: BatchState
    starts_at: datetime | None
    rows: int
    set_aside: int
    orders: dict[OrderState, int]
    quoted_rupiah: int
    paid_rupiah: int
    run_paid_rupiah: int | None
    needs_rows: int


class Need(Document):
    """Rows of a batch that need a person for the same reason."""

    standing: str
    code: str
    rows: int


class Approval(Document):
    """A batch's approval: asked for, and answered or not."""

    asked_at: datetime
    orders: int
    total_rupiah: int
    held: int
    approver: str | None
    approved_at: datetime | None
    rejecter: str | None


class BatchRun(Document):
    """A run of a batch in Airflow."""

    dag_id: str
    run_id: str
    at: datetime
    actor: str
    parameters: dict[str, Any]
    is_refused: bool


class BatchResult(Document):
    """A batch's newest result file."""

    at: datetime
    position: int | None
    digest: str
    rows: int


class Decided(Document):
    """What somebody did with a batch, and why."""

    at: datetime
    actor: str
    reason: str | None


class BatchDetails(Document):
    """A batch with its steps, approval, runs, results and history."""

    batch: Batch
    source: str
    digest: str
    size_bytes: int
    steps: dict[BatchStep, datetime]
    needs: tuple[Need, ...]
    pays_again: Batch | None
    paid_again_by: tuple[Batch, ...]
    pause_reason: str | None
    approval: Approval | None
    runs: tuple[BatchRun, ...]
    result: BatchResult | None
    withdrawal: Decided | None
    refusal: Decided | None
    history: tuple[HistoryEntry, ...]


class StateFigures(Document):
    """How many orders of a batch are in a state, and their rupiah."""

    state: OrderState
    orders: int
    quoted_rupiah: int
    charged_rupiah: int


class BatchSummary(Document):
    """A batch in figures, now or as of a log position. Progress, pauses and funds are of now alone."""

    batch_id: str
    state: BatchState
    is_over: bool
    account: str
    file_name: str
    size_bytes: int
    reference: str | None
    rows: int
    orders: int
    set_aside: int
    moved_on: int
    quoted_rupiah: int | None
    paid_rupiah: int
    counts: tuple[StateFigures, ...]
    ended: int
    unsent: int
    for_people: int
    needs_in_words: str
    refusal_code: str | None
    refusal_message: str | None
    results_uri: str | None
    results_position: int | None
    pause_reason: str | None
    progress_in_words: str | None
    progress_in_short: str | None


class Goods(Document):
    """How many orders of a batch have succeeded, and how many of them have a voucher or a serial."""

    orders: int
    vouchers: int
    serials: int


class Delivery(Document):
    """A delivery that was made."""

    at: datetime
    user: str
    orders: int
    reason: str


class Deliverable(Document):
    """What a batch has to deliver, and its deliveries, last first. ``goods`` is null for large batches."""

    batch: Batch
    paid: int
    goods: Goods | None
    earlier: tuple[Delivery, ...]


class StartedRun(Document):
    """A run of a batch as Airflow has it. ``url``: its page in Airflow, relative to the server."""

    run_id: str
    state: RunState
    run_after: datetime
    url: str


class FirstRun(Document):
    """The first run of a batch; null when none was started."""

    run: StartedRun | None
