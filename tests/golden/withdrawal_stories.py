"""Stories of withdrawals by a person."""

from __future__ import annotations

from sat_hook.domain.event_record import Provenance
from sat_hook.pipeline.withdrawal import withdraw_batch, withdraw_order
from tests.golden.stories import ONE, ready, send, story
from tests.pipeline import Line

PERSON = Provenance("user:mia", "plugin:withdraw")
TWO = f"{ONE}INV-2,50k-simpati,081200000002\n"


@story("Quoted and reserved: one order withdrawn, the other paid")
def withdrawn(line: Line) -> None:
    """The batch continues with the other orders."""
    batch_id = ready(line, TWO)
    order = line.orders(batch_id)["INV-1"]
    withdraw_order(line.handler, order.request_id, "the customer paid elsewhere", PERSON)
    send(line, batch_id)
    line.wait(batch_id)
    line.finish(batch_id)


@story("Quoted and reserved: the whole batch withdrawn")
def batch_withdrawn(line: Line) -> None:
    """None of it was ever sent, so it is refused as a whole."""
    batch_id = ready(line, TWO)
    withdraw_batch(line.handler, batch_id, "the file was the wrong one", PERSON)
    line.finish(batch_id)
