"""Headers and paths that must not depend on the machine, and faults that must not lie."""

from __future__ import annotations

import locale
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.protocol.calls import headers_of, order_request
from sat_hook.protocol.endpoints import ORDER_PATH, order_path, product_list_query
from sat_hook.protocol.errors import InvalidRequestIdError
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireRequest, WireResponse, http_date


@given(
    st.datetimes(
        datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
    )
)
def test_date_is_local_time_called_gmt(moment: datetime) -> None:
    """Whatever zone the clock is in, the header is UTC and reads back as the same second."""
    text = http_date(moment)
    assert text.endswith(" GMT")
    assert parsedate_to_datetime(text) == moment.replace(microsecond=0)
    assert text == format_datetime(moment.astimezone(UTC), usegmt=True)


def test_date_speaks_the_locale() -> None:
    """Names of days and months are English whatever the locale; naive times are refused."""
    before = locale.setlocale(locale.LC_TIME)
    try:
        for name in ("id_ID.UTF-8", "de_DE.UTF-8", "C.UTF-8"):
            try:
                locale.setlocale(locale.LC_TIME, name)
            except locale.Error:
                continue
            assert http_date(datetime(2026, 5, 6, tzinfo=UTC)) == "Wed, 06 May 2026 00:00:00 GMT"
    finally:
        locale.setlocale(locale.LC_TIME, before)
    with pytest.raises(ValueError):
        http_date(datetime(2026, 5, 6))  # noqa: DTZ001 - the naive one is the point


@given(st.text(min_size=1, max_size=64))
def test_request_id_leaves_its_segment(request_id: str) -> None:
    """Whatever the id is, the path has exactly one more segment, and it reads back; or it is refused."""
    try:
        path = order_path(request_id)
    except InvalidRequestIdError:
        assert request_id in (".", "..") or any("\ud800" <= letter <= "\udfff" for letter in request_id)
        return
    segment = path.removeprefix(f"{ORDER_PATH}/")
    assert unquote(segment) == request_id
    assert not set(segment) & set("/?#\\ ;")
    assert segment.isascii()


def test_filter_is_sent_empty() -> None:
    """No codes, no parameter."""
    assert product_list_query(None) == product_list_query([]) == ()
    assert product_list_query(["a", "b"]) == (("product_code", "a,b"),)


def test_headers_of_a_checkout() -> None:
    """All that the documents ask for, and nothing else."""
    headers = headers_of(
        order_request(b"{}"), now=datetime(2026, 5, 6, tzinfo=UTC), token="t", signature="sig"
    )
    assert headers == {
        "Accept": "application/json",
        "Authorization": "Bearer t",
        "Content-Type": "application/json",
        "Date": "Wed, 06 May 2026 00:00:00 GMT",
        "Signature": "sig",
    }
    assert "Content-Type" not in headers_of(
        WireRequest("GET", "/ping"), now=datetime(2026, 5, 6, tzinfo=UTC), token="t"
    )


def test_exchange_shows_its_content() -> None:
    """Neither headers nor bodies are in a repr."""
    request = WireRequest("POST", "/v2/order", (), {"Authorization": "Bearer t0ken"}, b"voucher")
    response = WireResponse(200, {"signature": "s1gned"}, b"voucher")
    assert not {"t0ken", "voucher", "s1gned"} & set(f"{request} {response}".replace("'", " ").split())


def test_fault_with_a_response_is_called_never_sent() -> None:
    """A fault that needs a response cannot claim that nothing was sent."""
    with pytest.raises(ValueError):
        TransportFault(FaultKind.MALFORMED_RESPONSE, sent=False, detail="x")
