"""The documents about batches that the API answers with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sat_hook.application import batch_details, deliveries
from sat_hook.application.batch_details import BatchApproval, BatchRunRow
from sat_hook.application.batch_reports import BatchFigures
from sat_hook.application.batch_standing import BatchRow
from sat_hook.application.batch_starts import RunAsked
from sat_hook.application.runs import Run
from sat_hook.pipeline.delivery import GoodsCount
from sat_hook.store import event_store
from sat_hook.store.event_store import StateCount
from sat_hook.store.order_intake import IntakeRow
from sat_hook.web.api.models import Document, HistoryEntry


class AskedOrder(BaseModel):
    """One order to pay. Ids and numbers are text: a number would lose leading zeros."""

    model_config = ConfigDict(extra="forbid", strict=True)

    order_id: str
    product_code: str
    client_number: str
    amount_rupiah: int | None = Field(
        None, description="of a bill: it must be exactly this, or it is not paid"
    )
    max_rupiah: int | None = Field(None, description="a higher price is not paid")
    downline_id: str = ""
    fields: dict[str, str] = Field({}, description="passed on to SAT")

    @property
    def cells(self) -> IntakeRow:
        """As a row of text."""
        amount, most = ("" if one is None else str(one) for one in (self.amount_rupiah, self.max_rupiah))
        return IntakeRow(
            None,
            self.order_id,
            self.product_code,
            self.client_number,
            amount,
            most,
            self.downline_id,
            self.fields,
        )


class AskedOrders(BaseModel):
    """The orders of a batch; the first is row 2 of its file, as below a header."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: tuple[AskedOrder, ...] = Field(min_length=1)


class Batch(Document, of=BatchRow):
    """A batch. See :class:`sat_hook.application.batch_standing.BatchRow`."""


class Need(Document, of=event_store.Need):
    """Rows of a batch that need a person for the same reason."""


class Approval(Document, of=BatchApproval):
    """A batch's approval: asked for, and answered or not."""


class BatchRun(Document, of=BatchRunRow):
    """A run of a batch in Airflow."""


class BatchResult(Document, of=batch_details.BatchResult):
    """A batch's newest result file."""


class Decided(Document, of=batch_details.Decided, without=("code",)):
    """What somebody did with a batch, and why."""


class BatchDetails(Document, of=batch_details.BatchDetails, without=("row", "progress")):
    """A batch with its steps, approval, runs, results and history."""

    batch: Batch
    needs: tuple[Need, ...]
    pays_again: Batch | None
    paid_again_by: tuple[Batch, ...]
    approval: Approval | None
    runs: tuple[BatchRun, ...]
    result: BatchResult | None
    withdrawal: Decided | None
    refusal: Decided | None
    history: tuple[HistoryEntry, ...]


class StateFigures(Document, of=StateCount):
    """How many orders of a batch are in a state, and their rupiah."""


class BatchSummary(Document, of=BatchFigures):
    """A batch in figures, now or as of a log position. Progress, pauses and funds are of now alone."""

    counts: tuple[StateFigures, ...]


class Goods(Document, of=GoodsCount):
    """How many orders of a batch have succeeded, and how many of them have a voucher or a serial."""


class Delivery(Document, of=deliveries.Delivery):
    """A delivery that was made."""


class Deliverable(Document):
    """What a batch has to deliver, and its deliveries, last first. ``goods`` is null for large batches."""

    batch: Batch
    paid: int
    goods: Goods | None
    earlier: tuple[Delivery, ...]


class StartedRun(Document, of=Run, without=("dag_id", "conf")):
    """A run of a batch as Airflow has it. ``url``: its page in Airflow, relative to the server."""


class BegunRun(StartedRun):
    """The first run of a batch, and whether it was started just now."""

    is_new: bool


class AskedRun(Document):
    """What a person asks of a run. See :class:`sat_hook.application.batch_starts.RunAsked`."""

    account: str | None = Field(None, max_length=200, description="the batch's own account, by either name")
    parameters: dict[str, JsonValue] = Field(
        {}, max_length=100, description="parameters of the DAG; none of them loosens a rule of the account"
    )

    def run(self) -> RunAsked:
        """The same for the use case."""
        return RunAsked(self.account, self.parameters)


class AskedStart(AskedRun):
    """What a person asks of the first run of a batch."""

    note: str = Field("", max_length=900, description="the run's note in Airflow, after the file's name")


class FirstRun(Document):
    """The first run of a batch; null when none was started."""

    run: StartedRun | None
