"""Deliveries: vouchers and serials leave as a file after a reason, and the delivery is recorded first."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import Response

from sat_hook.presentation.text_tables import TableFormat
from sat_hook.web.console.site import SiteDep
from sat_hook.web.dependencies import BatchId, DecisionsDep, DeliveriesDep
from sat_hook.web.files import as_download

router = APIRouter(prefix="/deliveries")


@router.get("")
def list_deliverable(site: SiteDep, deliveries: DeliveriesDep, cursor: str | None = None) -> Response:
    """Batches with paid orders."""
    found = deliveries.batches(site.person, cursor=cursor)
    older = site.url("/deliveries", cursor=found.next) if found.next else ""
    return site.page("deliveries", rows=found.items, older=older)


@router.get("/{batch_id}")
def show_deliverable(batch_id: BatchId, site: SiteDep, deliveries: DeliveriesDep) -> Response:
    """What one batch has to deliver, and its deliveries so far."""
    return site.page("delivery", found=deliveries.of_batch(batch_id, site.person))


@router.post("/{batch_id}")
def deliver(
    batch_id: BatchId,
    site: SiteDep,
    deliveries: DeliveriesDep,
    decisions: DecisionsDep,
    file_format: Annotated[TableFormat, Form(alias="format")],
    reason: Annotated[str, Form(max_length=500)],
) -> Response:
    """The file. The delivery is recorded before it leaves."""
    goods = decisions.deliver(batch_id, file_format, reason, site.person)
    name = PurePath(deliveries.of_batch(batch_id, site.person).row.file_name).stem
    headers = as_download(f"{name}-goods.{file_format.value}")
    return Response(goods, headers=headers, media_type=file_format.media_type)
