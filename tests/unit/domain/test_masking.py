"""What a pack without personal data shows of an event."""

from __future__ import annotations

import json

import pytest

from sat_hook.domain.event_record import registered_events
from sat_hook.domain.masking import MASK, PERSONAL, masked_data, masked_members
from tests.orders import received


def test_an_order_shows_neither_number_nor_fields() -> None:
    """The rest stays as it was."""
    event = received(1).model_copy(update={"fields": (("name", "Budi"),)})
    text, is_masked = masked_data(event.to_text())
    shown, original = json.loads(text), json.loads(event.to_text())
    assert is_masked
    assert (shown["client_number"], shown["fields"], shown["payload_digest"]) == ("***", "***", "***")
    assert shown["order_id"] == original["order_id"]
    assert shown.keys() == original.keys()
    assert "0812" not in text
    assert "Budi" not in text


@pytest.mark.parametrize(
    "data",
    [
        '{"price_rupiah":52000,"source":"catalogue"}',
        '{"client_number":null,"fields":[],"body":""}',
        '{"reason":"price went up to 52000"}',
        '{"file_name":"orders-2026-11-23.csv","reference":"20261123"}',
        '{"order_id":"202611230001"}',
        '{"reference":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}',
        '{"spool_uri":"file:///spool/012345678912c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00.csv"}',
    ],
)
def test_what_needs_no_mask_is_given_byte_for_byte(data: str) -> None:
    """So that its digest can be made again."""
    assert masked_data(data) == (data, False)


@pytest.mark.parametrize(
    ("data", "gone"),
    [
        ('{"detail":"nomor 081211311111 salah"}', "081211311111"),
        ('{"reason":"called 0812-1131-1111 twice"}', "1131"),
        ('{"set_aside":[{"message":"found 5317 0000 0072, expected less"}]}', "5317 0000"),
        ('{"later":{"deep":[{"serial_number":"S-1"}]}}', "S-1"),
        ('{"body": "{not json, 081211311111', "0812"),
        ('{"reason":"0812 - 1131 - 1111 called"}', "1131"),
        ('{"reason":"call (0812) 1131/1111"}', "1131"),
        ('{"detail":"0812\\u20131131\\u20131111"}', "1131"),
        ('{"note":"0812\\u00a01131  1111"}', "1131"),
        ('{"file_name":"budi_081211311111.csv"}', "081211311111"),
        ('{"reference":"refund 081211311111"}', "081211311111"),
        ('{"uri":"file:///results/BA/081211311111.results.csv"}', "081211311111"),
        ('{"name":"settlement 081211311111.csv"}', "081211311111"),
        ('{"set_aside":[{"order_id":"081211311111"}]}', "081211311111"),
    ],
)
def test_numbers_in_words_and_at_any_depth_are_hidden(data: str, gone: str) -> None:
    """Also in an event of another release, and in a damaged one."""
    text, is_masked = masked_data(data)
    assert is_masked
    assert gone not in text
    if text != MASK:
        assert masked_members(data) == json.loads(text)


def test_of_a_long_text_the_beginning_is_read_and_masked() -> None:
    """Whole members as they are masked anyway, wherever the text is cut; a short text is read wholly."""
    data = json.dumps(
        {"day": "2026-11-22", "breaks": [{"what": f"call 0812-1131-{n:04}"} for n in range(99)]}
    )
    whole = masked_members(data)
    for most in range(1, len(data), 7):
        found = masked_members(data, most)
        assert found.items() <= {"day": whole["day"], "breaks": found.get("breaks")}.items()
        shown = found.get("breaks", [])
        assert shown[:-1] == whole["breaks"][: len(shown[:-1])]
        assert "1131" not in json.dumps(found)
    assert masked_members(data, len(data)) == whole


def test_members_of_events_that_sound_personal_are_masked() -> None:
    """A new event with such a member has to be thought of here."""
    suspicious = {"client", "voucher", "serial", "meter", "phone", "body"}
    # Digests of the account's own client id at SAT are not personal.
    own = {"client"}
    names = {name for event in registered_events().values() for name in event.model_fields} - own
    assert {name for name in names if suspicious & set(name.split("_"))} <= PERSONAL
