"""The future of an order: its turns and their times, decided at acceptance and stored in the journal."""

from __future__ import annotations

from sandbox.calls import Operation, Target
from sandbox.catalogue import TEMPORARILY_INACTIVE, Product
from sandbox.chance import Chance
from sandbox.drawing import Faults
from sandbox.faults import (
    CallbackBeforeResponse,
    DelayedRefund,
    FailedThenSuccess,
    Fails,
    StuckPending,
    SuccessThenReversed,
)
from sandbox.orders import Step, Turn
from sandbox.refusals import PRODUCT_UNAVAILABLE_CODE, PRODUCT_UNAVAILABLE_DETAIL
from sandbox.samples import fails_at_fulfilment
from sandbox.scenario import Fulfilment
from sandbox.wire import OrderForm


def tell(
    form: OrderForm,
    product: Product,
    faults: Faults,
    chance: Chance,
    fulfilment: Fulfilment,
    generation: int,
    now: float,
) -> tuple[list[Step], bool]:
    """The order's turns, and whether its callback overtakes the checkout's reply."""
    request_id = form.identifier or ""

    target = Target(
        Operation.CHECKOUT,
        request_id,
        request_id,
        client_number=form.client_number,
        product=form.product_code,
    )
    overtakes = faults.draw(CallbackBeforeResponse, target, now) is not None
    ready = now if overtakes else now + _pending_seconds(chance, fulfilment, request_id, generation)
    if faults.draw(StuckPending, target, now):
        return [], overtakes

    def refund_after() -> float:
        late = faults.draw(DelayedRefund, target, now)
        return late.after_seconds if late else 0.0

    if reversal := faults.draw(SuccessThenReversed, target, now):
        failed_at = ready + reversal.after_seconds
        steps = [
            Step(ready, Turn.SUCCEED),
            Step(failed_at, Turn.FAIL, reversal.code, reversal.detail),
            Step(failed_at + refund_after(), Turn.REFUND),
        ]
    elif recovery := faults.draw(FailedThenSuccess, target, now):
        steps = [Step(ready, Turn.FAIL, recovery.code, recovery.detail)]
        late = refund_after()
        if late <= recovery.after_seconds:  # otherwise there was no refund to take back
            steps.append(Step(ready + late, Turn.REFUND))
            steps.append(Step(ready + recovery.after_seconds, Turn.RECLAIM))
        steps.append(Step(ready + recovery.after_seconds, Turn.SUCCEED))
    elif failure := faults.draw(Fails, target, now):
        failed_at = ready if failure.after_seconds is None else now + failure.after_seconds
        steps = [
            Step(failed_at, Turn.FAIL, failure.code, failure.detail),
            Step(failed_at + refund_after(), Turn.REFUND),
        ]
    elif fails_at_fulfilment(form.client_number) or product.status == TEMPORARILY_INACTIVE:
        steps = [
            Step(ready, Turn.FAIL, PRODUCT_UNAVAILABLE_CODE, PRODUCT_UNAVAILABLE_DETAIL),
            Step(ready + refund_after(), Turn.REFUND),
        ]
    else:
        steps = [Step(ready, Turn.SUCCEED)]
    return steps, overtakes


def _pending_seconds(chance: Chance, fulfilment: Fulfilment, request_id: str, generation: int) -> float:
    return chance.between(
        fulfilment.min_seconds, fulfilment.max_seconds, "fulfilment", request_id, generation
    )
