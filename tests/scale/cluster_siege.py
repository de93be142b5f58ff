"""Kills machines of a cluster in the middle of two accounts' batches; the SAT servers' ledgers judge."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg2
import requests

from sat_hook.domain.identity import batch_id_of, digest_of
from stack.cluster.lifecycle import Cluster
from stack.cluster.settings import BUCKET, CONNECTIONS
from stack.processes import Service
from tests.chaos.siege import Siege

DAG_ID = "bulk_disbursement"
SUBMIT_SECONDS = 180
REPAIR_SECONDS = 300


class ClusterSiege(Siege):
    """Batches of two accounts on a cluster. Each is submitted with the command ``sat``, as people do."""

    victims: ClassVar[Sequence[str]] = ("worker", "triggerer", "scheduler", "pgbouncer", "redis", "receiver")

    def __init__(self, cluster: Cluster, chance: random.Random, say: Callable[[str], None]) -> None:
        super().__init__(cluster, chance, say)
        self._cluster = cluster
        self._accounts = itertools.cycle(CONNECTIONS)
        self._account_of: dict[str, str] = {}

    def _sandboxes(self) -> list[str]:
        return list(self._cluster.settings().sandboxes().values())

    def _repair(self) -> None:
        """Start again what has ended until all works: Airflow's parts end when their database is away."""
        give_up = time.monotonic() + REPAIR_SECONDS
        while True:
            if ended := self._cluster.restart_ended():
                self._say("started again: " + ", ".join(ended))
            late = [part.name for part in self._cluster.status() if not part.is_ready]
            if not late:
                return
            if time.monotonic() > give_up:
                raise self._cluster.service(late[0]).failed(f"was not ready again after {REPAIR_SECONDS} s")
            time.sleep(1)

    def _submit(self, orders: int) -> None:
        account = next(self._accounts)
        name, content = self._file(orders)
        batch_id = batch_id_of(account, digest_of(content))
        self._account_of[batch_id] = account
        file = self._cluster.layout.demo / name
        file.write_bytes(content)
        # fmt: off
        done = subprocess.run(
            [str(Path(sys.executable).parent / "sat"), "batch", "submit", str(file),
             "--account", CONNECTIONS[account], "--param", f"chunk_rows={self._chunk_rows(orders)}"],
            env={**os.environ, **self._cluster.settings().command_line_environment()},
            capture_output=True, text=True, timeout=SUBMIT_SECONDS, check=False,
        )
        # fmt: on
        assert done.returncode == 0, done.stdout + done.stderr
        runs = self._api().runs(DAG_ID)
        self._batches[batch_id] = next(r["dag_run_id"] for r in runs if r["conf"].get("batch_id") == batch_id)
        self._say(f"{orders} orders of account {account}")

    def _chunk_rows(self, orders: int) -> int:
        return max(25, orders // 4)

    def _again(self, batch_id: str) -> dict[str, str]:
        return {"batch_id": batch_id, "account": CONNECTIONS[self._account_of[batch_id]]}

    def _find(self, victim: str) -> psutil.Process | None:
        return self._machine(victim).process()

    def _machine(self, victim: str) -> Service:
        names = [name for name in self._cluster.service_names if name.rpartition("-")[0] == victim]
        return self._cluster.service(self._chance.choice(names) if names else victim)

    def _end(self, process: psutil.Process) -> None:
        """All of its session at once, as when a machine loses its power: workers with their tasks."""
        session = next(
            session
            for name in self._cluster.service_names
            if process in (session := self._cluster.service(name).session())
        )
        for member in session:
            with suppress(psutil.NoSuchProcess):
                member.kill()

    def _judge(self) -> list[str]:
        findings = super()._judge() + self._workers_without_tasks() + self._missing_objects()
        return findings + self._unreadable_logs()

    def _workers_without_tasks(self) -> list[str]:
        hosts = self._hosts()
        self._say(f"tasks by host: {hosts}")
        idle = {name for name in self._cluster.service_names if name.startswith("worker")} - hosts.keys()
        return [f"{name} ran no task" for name in sorted(idle)]

    def _hosts(self) -> dict[str, int]:
        settings = self._cluster.settings()
        query = "SELECT hostname, count(*) FROM task_instance WHERE hostname <> '' GROUP BY 1"
        with (
            closing(psycopg2.connect(settings.metadata_dsn(settings.ports.postgres))) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            return dict(cursor.fetchall())

    def _unreadable_logs(self) -> list[str]:
        """The API server shows the logs of tasks whose machines are gone."""
        for name in self._cluster.service_names:
            if name.startswith("worker") and (process := self._cluster.service(name).process()):
                self._end(process)
        api = self._api()
        logs = {run: api.task_log(DAG_ID, run, "intake") for run in self._batches.values()}
        self._say(f"characters of the logs of intake: {sorted(map(len, logs.values()))}")
        return [f"the log of {run} was not read from s3" for run, log in logs.items() if "s3://" not in log]

    def _missing_objects(self) -> list[str]:
        """What the object store holds: the logs of tasks, and a result file for each batch."""
        url = self._cluster.settings().environment()["AWS_ENDPOINT_URL"]
        listed = requests.get(f"{url}/{BUCKET}?list-type=2&max-keys=1000&prefix=", timeout=60)
        keys = [key.text or "" for key in ET.fromstring(listed.content).iter() if key.tag.endswith("Key")]
        places = {key.partition("/")[0]: key for key in keys}
        self._say(f"in the bucket: {len(keys)} objects, for example {sorted(places.values())}")
        return [f"nothing in s3://{BUCKET}/{place}" for place in ("logs", "spool") if place not in places]
