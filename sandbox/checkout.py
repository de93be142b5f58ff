"""Accepts orders: refusals, price and duplicates (protocol 5.5 and 8)."""

from __future__ import annotations

from typing import TypeVar

from sandbox import refusals
from sandbox.calls import Call, Operation, Target
from sandbox.catalogue import INACTIVE, Product
from sandbox.deposit import Movement
from sandbox.faults import (
    DepositRunsOut,
    ForeignSpend,
    ForgottenId,
    P03ForLost,
    PriceChange,
    ProductInactive,
    RejectResend,
    Rule,
)
from sandbox.ledger import Entry
from sandbox.orders import Order, accept
from sandbox.refusals import Refusal
from sandbox.story import tell
from sandbox.wire import Manner, OrderForm, Outcome, Reply, encode, refuse
from sandbox.world import World
from sat_hook.protocol.errors import SignatureError
from sat_hook.protocol.signing import SIGNATURE_HEADER

R = TypeVar("R", bound=Rule)


def check_out(world: World, call: Call) -> Outcome:
    """Carry out a checkout that has arrived. The charge is taken at acceptance."""
    try:
        world.verifier.verify(call.request.body, call.request.headers.get(SIGNATURE_HEADER))
    except SignatureError:
        return _refused(world, call, refusals.BAD_SIGNATURE)
    if call.form is None or not call.request_id:
        return _refused(world, call, refusals.MALFORMED, call.problem)
    entry = world.ledger.entries[call.request_id]
    repeated = _as_repeated(world, call, entry)
    if repeated is not None:
        return repeated
    lost = _drawn(world, call, P03ForLost)
    if lost is not None:
        world.ledger.write("lost", world.now(), request_id=call.request_id, remembered=True)
        if lost.first_send == "p03":
            return _refused(world, call, refusals.DUPLICATE)
        return Outcome(None, Manner(lost.first_send))
    _let_the_world_change(world, call)
    return _accept(world, call, call.form, entry)


def let_quote_change(world: World, product: Product, client_number: str, operation: Operation) -> None:
    """Apply changes after a price was quoted, before the order that relies on it arrives."""
    subject = f"{product.code}/{client_number}" if product.is_inquiry else product.code
    target = Target(operation, subject, client_number=client_number, product=product.code)
    now = world.now()
    price = world.faults.draw(PriceChange, target, now, lambda rule: rule.moment == "quote")
    if price is not None:
        world.change_price(product, client_number, price)
    status = world.faults.draw(
        ProductInactive, target.about(product.code), now, lambda rule: rule.moment == "quote"
    )
    if status is not None:
        world.change_status(product, status.status)


def _as_repeated(world: World, call: Call, entry: Entry) -> Outcome | None:
    """The answer to an already known id, or ``None`` if the id counts as new."""
    if entry.remembered_as_lost:
        return _refused(world, call, refusals.DUPLICATE, duplicate=True)
    order = entry.current
    if order is None or not _is_remembered(world, order) or _drawn(world, call, ForgottenId):
        return None
    rejection = _drawn(world, call, RejectResend)
    if rejection is None:
        return _refused(world, call, refusals.DUPLICATE, duplicate=True)
    refusal = Refusal(rejection.code, rejection.status, rejection.detail)
    return _refused(world, call, refusal, duplicate=True)


def _is_remembered(world: World, order: Order) -> bool:
    horizon = world.scenario.dedup_horizon
    if horizon.seconds is not None and world.now() - order.accepted_at >= horizon.seconds:
        return False
    return horizon.orders is None or world.ledger.accepted - order.sequence < horizon.orders


def _let_the_world_change(world: World, call: Call) -> None:
    """Apply changes that happen just before this checkout is processed."""
    assert call.form is not None
    if (spend := _drawn(world, call, ForeignSpend)) is not None:
        top = spend.rupiah if spend.to_rupiah is None else max(spend.rupiah, spend.to_rupiah)
        rupiah = int(world.chance.between(spend.rupiah, top + 1, "foreign_spend", call.request_id))
        rupiah = min(rupiah, max(0, world.ledger.deposit.balance_rupiah))
        world.move(Movement.FOREIGN_SPEND, rupiah, "foreign_spend")
    if (drain := _drawn(world, call, DepositRunsOut)) is not None:
        rupiah = max(0, world.ledger.deposit.balance_rupiah - drain.leaving_rupiah)
        world.move(Movement.FOREIGN_SPEND, rupiah, "deposit_runs_out")
    product = world.catalogue.get(call.form.product_code)
    if product is None:
        return
    code, number = product.code, call.form.client_number
    price = _drawn(world, call, PriceChange, f"{code}/{number}" if product.is_inquiry else code)
    if price is not None:
        world.change_price(product, number, price)
    status = _drawn(world, call, ProductInactive, code)
    if status is not None:
        world.change_status(product, status.status)


def _accept(world: World, call: Call, form: OrderForm, entry: Entry) -> Outcome:
    product = world.catalogue.get(form.product_code)
    if product is None or product.withdrawn or product.status == INACTIVE:
        return _refused(world, call, refusals.NO_PRODUCT)
    price = _price_rupiah(world, form, product)
    if isinstance(price, Refusal):
        return _refused(world, call, price)
    if price > world.ledger.deposit.balance_rupiah:
        return _refused(world, call, refusals.NO_FUNDS)
    now = world.now()
    generation = len(entry.orders) + 1
    steps, overtakes = tell(
        form, product, world.faults, world.chance, world.scenario.fulfilment, generation, now
    )
    order = accept(
        form,
        generation=generation,
        sequence=world.ledger.accepted + 1,
        charged_rupiah=price,
        partner_fee_rupiah=product.partner_fee_rupiah,
        now=now,
        steps=steps,
    )
    world.ledger.write("accepted", now, **order.to_record())
    order = entry.orders[-1]
    world.schedule_order(order)
    # Encoded before time advances: the reply says Pending, even if a callback overtakes it.
    reply = Reply(200, encode(order.document(), world.scenario.json_style))
    world.advance()
    return Outcome(reply, after_callback_of=call.request_id if overtakes and world.callback_url else None)


def _price_rupiah(world: World, form: OrderForm, product: Product) -> int | Refusal:
    """Catalogue price, or for an inquiry product the amount sent (protocol 5.5)."""
    if not product.is_inquiry:
        return product.price_rupiah
    if form.amount_rupiah is None:
        return refusals.BAD_AMOUNT
    change = world.bill_changes.get((product.code, form.client_number))
    if change is not None and change.at_checkout != "charge_sent":
        bill_rupiah = world.bill(product, form.client_number).sales_price_rupiah
        if bill_rupiah != form.amount_rupiah:
            return bill_rupiah if change.at_checkout == "charge_changed" else refusals.PRICE_CHANGED
    return form.amount_rupiah


def _drawn(world: World, call: Call, kind: type[R], subject: str = "") -> R | None:
    target = call.target.about(subject) if subject else call.target
    return world.faults.draw(
        kind, target, world.now(), lambda rule: getattr(rule, "moment", "checkout") == "checkout"
    )


def _refused(
    world: World, call: Call, refusal: Refusal, detail: str | None = None, *, duplicate: bool = False
) -> Outcome:
    if call.request_id and world.ledger.entry(call.request_id):
        world.ledger.write(
            "refused", world.now(), request_id=call.request_id, code=refusal.code, duplicate=duplicate
        )
    return Outcome(refuse(refusal, detail))
