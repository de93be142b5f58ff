"""The tab that Airflow shows on every run: leads to the run's batch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import RedirectResponse, Response

from sat_hook.web.console.site import SiteDep
from sat_hook.web.dependencies import BatchStartsDep, RunsDep

router = APIRouter(prefix="/runs")

_DagId = Annotated[str, Path(max_length=250)]
_RunId = Annotated[str, Path(max_length=250)]


@router.get("/{dag_id}/{run_id:path}")
def batch_of_run(
    dag_id: _DagId, run_id: _RunId, site: SiteDep, starts: BatchStartsDep, runs: RunsDep
) -> Response:
    """The page of the run's batch. A run of another kind, or one that has no batch yet, gets a page that says
    so."""
    batch_id = starts.batch_of_run(dag_id, run_id, site.person, runs)
    if batch_id is None:
        return site.page("run_without_batch")
    return RedirectResponse(site.url(f"/batches/{batch_id}"), 303)
