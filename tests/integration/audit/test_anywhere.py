"""Any change by a superuser to an event under checkpoints is found, at its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from sat_hook.audit import checkpoints
from sat_hook.audit.checkpoint_verification import verify_chain
from sat_hook.audit.findings import FindingKind
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import Found, order_stream
from tests.integration.audit.keeping import EVENT_COLUMNS, Notary

EVENTS, SIZE = 14, 4

#: Each leaves every digest right, so that nothing but the checkpoint shows it. ``{at}`` is a position.
DAMAGES = {
    "changed with a digest that fits": "UPDATE sat.events SET digest = repeat('f', 64) WHERE position = {at}",
    "recorded at another time": (
        "UPDATE sat.events SET recorded_at = recorded_at + interval '1 us' WHERE position = {at}"
    ),
    "removed": "DELETE FROM sat.events WHERE position = {at}",
    "moved to a position that is free": "UPDATE sat.events SET position = -{at} WHERE position = {at}",
    "changed places with its neighbour": (
        "UPDATE sat.events SET position = CASE position WHEN {at} THEN {next} ELSE {at} END"
        " WHERE position IN ({at}, {next})"
    ),
    "replaced by a copy of another": (
        "UPDATE sat.events AS e SET digest = o.digest, data = o.data FROM sat.events AS o"
        " WHERE e.position = {at} AND o.position = {next}"
    ),
    "inserted before it": (
        "INSERT INTO sat.events ({columns}) SELECT {at}, '{stream}', version, type,"
        " schema_version, data, actor, cause, occurred_at, recorded_at, digest FROM sat.events"
        " WHERE position = {next}"
    ),
}


@pytest.fixture(scope="module")
def superuser(
    module_database: ApplicationDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Notary, Connection]]:
    """A superuser's connection to a log of four whole checkpoints, whose positions can be changed at will."""
    notary = Notary(module_database, tmp_path_factory.mktemp("anywhere") / "published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "MAXIMUM_EVENTS", SIZE)
        notary.append(1, EVENTS)
        notary.make()
    with closing(psycopg2.connect(module_database.superuser_dsn)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE sat.events DISABLE TRIGGER ALL")
            cursor.execute("ALTER TABLE sat.events ALTER position DROP IDENTITY")
            cursor.execute("ALTER TABLE sat.events DROP CONSTRAINT events_pkey")
            cursor.execute("ALTER TABLE sat.events_0000 DROP CONSTRAINT events_0000_stream_version_unique")
        connection.commit()
        yield notary, connection


@pytest.mark.parametrize("what", DAMAGES)
def test_any_event_of_the_log(superuser: tuple[Notary, Connection], what: str) -> None:
    """At head, middle and tail, at both ends of every checkpoint; each time in the whole log."""
    notary, connection = superuser
    for position in range(1, EVENTS + 1):
        following = position % EVENTS + 1
        found = Found()
        with connection.cursor() as cursor:
            cursor.execute(
                DAMAGES[what].format(
                    at=position, next=following, columns=EVENT_COLUMNS, stream=order_stream(900 + position)
                )
            )
            assert cursor.rowcount > 0
        verify_chain(connection, found, notary.trust)
        connection.rollback()
        places = {f.place for f in found.findings if f.kind is FindingKind.CHECKPOINT_EVENTS}
        assert f"checkpoint {(position - 1) // SIZE + 1}" in places, (position, found.findings)
    untouched = Found()
    verify_chain(connection, untouched, notary.trust)
    connection.rollback()
    assert untouched.findings == []
