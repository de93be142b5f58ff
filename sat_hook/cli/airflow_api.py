"""The API of the plugin, as the person who runs the command. Of Airflow's own API only the login is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import requests

from sat_hook.cli.airflow_session import DAG_ID, AirflowSession
from sat_hook.cli.errors import CommandError

BOOKS_DAG_ID = "nightly_reconciliation"
UPLOAD_SECONDS = 180.0
DOWNLOAD_SECONDS = 600.0
BYTES_PER_PART = 1 << 18
ITEMS_PER_PAGE = 200

Query = str | Sequence[str] | None
WAITS_FOR_FUNDS = "reserve (waits for a top-up of the deposit)"

FINAL_RUN_STATES = frozenset({"success", "failed"})


@dataclass(frozen=True, slots=True)
class Submitted:
    """The plugin's response to an upload.

    :param connection: the Airflow connection that pays.
    :param needs_in_words: how many rows cannot become orders, and why; empty when all can.
    """

    batch_id: str
    connection: str
    needs_in_words: str


@dataclass(frozen=True, slots=True)
class Download:
    """A file from the plugin. ``content`` may hold goods, so it is left out of the repr.

    ``position`` is the log position the file was made from, where it matters. ``notice`` is a message about
    the file for the user.
    """

    name: str
    content: bytes
    position: str | None = None
    notice: str | None = None

    def __repr__(self) -> str:
        return f"Download(name={self.name!r}, {len(self.content)} bytes)"


def _route(place: Iterable[str]) -> str:
    return "/".join(["/sat/v1", *(quote(part, safe="") for part in place)])


def _step(task_id: str, state: str | None) -> str:
    """Return a task's name as it is shown to a user."""
    if state == "awaiting_input" or (task_id, state) == ("approve", "deferred"):
        return f"{task_id} (waits for another person: Approvals in the console)"
    if (task_id, state) == ("reserve", "deferred"):
        return WAITS_FOR_FUNDS
    return task_id


class RunProgress(NamedTuple):
    """How far a run has come.

    :param tasks: those that are at work, wait for a person, or failed, each with its state.
    """

    state: str
    tasks: tuple[tuple[str, str], ...]
    is_paused: bool

    @property
    def is_final(self) -> bool:
        """Whether the run does nothing more."""
        return self.state in FINAL_RUN_STATES

    @property
    def steps(self) -> tuple[str, ...]:
        """The tasks at work, each named once; none after the run's end."""
        at_work = (_step(*task) for task in self.tasks if task[1] != "failed")
        return () if self.is_final else tuple(dict.fromkeys(at_work))

    @property
    def failed(self) -> str:
        """The tasks that failed, each named once."""
        return ", ".join(dict.fromkeys(name for name, state in self.tasks if state == "failed")) or "a task"


class AirflowApi(AirflowSession):
    """What one user asks of the API of the plugin."""

    def submit(self, content: bytes, query: Mapping[str, str | None]) -> Submitted:
        """Upload a file. The same bytes always give the same batch."""
        document = self._upload(("batches",), query, content)
        connection = document.get("connection") or str(query["account"])
        return Submitted(document["batch_id"], connection, document.get("needs_in_words", ""))

    def check(self, content: bytes, query: Mapping[str, str | None]) -> dict[str, Any]:
        """Report what a file would become. Records nothing."""
        return self._upload(("batches", "check"), query, content)

    def _upload(
        self, place: Sequence[str], query: Mapping[str, str | None], content: bytes
    ) -> dict[str, Any]:
        path, kind = _route(place), "text/csv"
        return self._document(
            self._ask("POST", path, query=query, body=content, content_type=kind, seconds=UPLOAD_SECONDS)
        )

    def accounts(self) -> dict[str, str]:
        """Return the accounts' names in the log, by Airflow connection."""
        return self.read("accounts")

    def account_or_only(self, named: str | None) -> str:
        """Return the account that a person named, or the only one.

        :raises CommandError: no account is named, and there is not exactly one.
        """
        known = sorted(set(self.accounts().values())) if named is None else [named]
        if len(known) != 1:
            expected = f"one of the accounts {', '.join(known)}" if known else "an account; Airflow has none"
            raise CommandError.at("--account", "nothing", expected)
        return known[0]

    def start(self, batch_id: str, **asked: object) -> dict[str, Any]:
        """Start the first run of a batch; ``is_new`` is false when it was started before."""
        return self._post(_route(("batches", batch_id, "start")), asked)

    def run_again(self, batch_id: str, **asked: object) -> dict[str, Any]:
        """Run what is left of a batch."""
        return self._post(_route(("batches", batch_id, "run")), asked)

    def start_other(self, dag_id: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        """Start a run that belongs to no batch."""
        return self._post(_route(("dags", dag_id, "runs")), {"parameters": parameters})

    def parameters(self, dag_id: str = DAG_ID) -> dict[str, Any]:
        """Return the parameters that a run of a DAG accepts, with their defaults."""
        return self.read("dags", dag_id, "parameters")

    def progress(self, run_id: str, dag_id: str = DAG_ID) -> RunProgress:
        """Return how far a run has come."""
        found = self.read("runs", dag_id, run_id)
        tasks = tuple((task["task_id"], task["state"]) for task in found["tasks"])
        return RunProgress(found["state"], tasks, found["is_paused"])

    def results(self, batch_id: str, at: int | None = None) -> Download:
        """Return the result file as of now, or as of a log position."""
        name = f"{batch_id}.results.csv"
        return self.file("batches", batch_id, "results", name=name, at=None if at is None else str(at))

    def deliver(self, batch_id: str, reason: str, file_format: str = "csv") -> Download:
        """Return vouchers and serials as ``csv`` or ``xlsx``. The delivery is recorded with the user."""
        path = f"/sat/v1/batches/{batch_id}/deliver"
        reply = self._ask("POST", path, json={"reason": reason, "format": file_format})
        return _downloaded(reply, f"{batch_id}.goods.{file_format}")

    def act(self, *place: str, reason: str, **members: object) -> dict[str, Any]:
        """Do something as this user, and return the plugin's answer.

        :param place: the parts of the route below ``/sat/v1``, unquoted: ``"accounts", NAME, "pause"``.
        :param members: what the route wants besides the reason.
        """
        return self._post(_route(place), {**members, "reason": reason})

    def read(self, *place: str, **query: Query) -> dict[str, Any]:
        """Return what the plugin answers at a route; see :meth:`act`. None stays out of the query."""
        return self._get(_route(place), query)

    def listed(self, *place: str, limit: int, **query: Query) -> list[dict[str, Any]]:
        """Return the first ``limit`` items of a list, and one more if there are more."""
        return list(self._items(place, limit + 1, query))

    def every(self, *place: str, **query: Query) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page."""
        return self._items(place, None, query)

    def _items(
        self, place: Sequence[str], most: int | None, query: Mapping[str, Query]
    ) -> Iterator[dict[str, Any]]:
        cursor, seen = None, 0
        while most is None or seen < most:
            size = ITEMS_PER_PAGE if most is None else min(most - seen, ITEMS_PER_PAGE)
            page = self.read(*place, **query, limit=str(size), cursor=cursor)
            yield from page["items"]
            seen += len(page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    def file(self, *place: str, name: str, **query: Query) -> Download:
        """Return a file that the plugin answers with at a route; ``name`` is used where it has none."""
        reply = self._ask("GET", _route(place), query=query, seconds=UPLOAD_SECONDS)
        return _downloaded(reply, name)

    def summary(self, batch_id: str, at: int | None = None) -> dict[str, Any]:
        """Return a batch in figures as of now, or as of a log position."""
        return self.read("batches", batch_id, "summary", at=None if at is None else str(at))

    def missing_rupiah(self, batch_id: str) -> int | None:
        """Return how much the deposit lacks for the batch; None when that is not known."""
        missing: int | None = self.read("batches", batch_id, "missing-funds")["missing_rupiah"]
        return missing

    def cut_off_minutes(self) -> int:
        """Return the cut-off with which the DAG closes days; midnight if the DAG does not say."""
        value = self.parameters(BOOKS_DAG_ID).get("cut_off_minutes")
        return value if isinstance(value, int) else 0

    def day_report(self, account: str, day: str, version: int | None) -> Download:
        """Return a version of a day's report as a ZIP; the newest by default."""
        place, chosen = ("books", account, "days", day, "report"), None if version is None else str(version)
        return self.file(*place, name=f"reconciliation-{day}.zip", version=chosen)

    def evidence_pack(self, export_id: str, target: Path) -> str:
        """Download a pack into a file that only its owner can read; the download is recorded. Returns its
        SHA-256.
        """
        from sat_hook.store.private_files import private_file

        path = _route(("exports", export_id, "pack"))
        reply = self._ask("POST", path, seconds=DOWNLOAD_SECONDS, stream=True)
        digest = hashlib.sha256()
        try:
            with reply, private_file(target) as file:
                for part in reply.iter_content(BYTES_PER_PART):
                    digest.update(part)
                    file.write(part)
                if digest.hexdigest() != reply.headers.get("X-Content-SHA256"):
                    raise CommandError.at(
                        self.url, "a pack that was cut off on its way", "the whole one; try again"
                    )
        except OSError as error:
            raise CommandError.of_system(f"--output {target}", error, "a file that can be written") from None
        return digest.hexdigest()

    def run_url(self, run_id: str, dag_id: str = DAG_ID) -> str:
        """Return the address of the run in Airflow's UI."""
        return f"{self.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def _downloaded(reply: requests.Response, name: str) -> Download:
    """Return the file in a response. ``name`` is used where the response gives none."""
    _, marker, encoded = reply.headers.get("Content-Disposition", "").partition("filename*=UTF-8''")
    position = reply.headers.get("X-SAT-Log-Position")
    notice = reply.headers.get("X-SAT-Notice")
    return Download(unquote(encoded) if marker else name, reply.content, position, notice)
