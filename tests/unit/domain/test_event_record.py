"""The digest of an event: a JSON encoder and SHA-256 suffice to compute it again."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from sat_hook.domain.event_record import Provenance, StreamId, StreamKind, event_digest

# Everything that PostgreSQL can keep as text.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
T0 = datetime(2000, 1, 1, tzinfo=UTC)
MOMENTS = st.builds(
    lambda since, zone: (T0 + since).astimezone(zone),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_500)),
    st.sampled_from([UTC, timezone(timedelta(hours=7))]),
)


@given(version=st.integers(1, 10**9), data=TEXTS, actor=TEXTS, cause=TEXTS, moment=MOMENTS)
def test_anybody_can_compute_it(version: int, data: str, actor: str, cause: str, moment: datetime) -> None:
    """SHA-256 over compact JSON in UTF-8, with nothing escaped that need not be, the time in UTC."""
    stream = StreamId(StreamKind.ORDER, "A" * 26)
    parts = [
        f"order/{'A' * 26}",
        version,
        "OrderReceived",
        1,
        data,
        actor,
        cause,
        moment.astimezone(UTC).isoformat(timespec="microseconds"),
    ]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    digest = event_digest(stream, version, "OrderReceived", 1, data, Provenance(actor, cause), moment)
    assert digest == hashlib.sha256(text.encode("utf-8")).hexdigest()
