"""Derived identities: the same for life, different for everything else."""

from __future__ import annotations

import hashlib
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from sat_hook.domain.identity import batch_id_of, payload_digest, request_id_of


def test_a_request_id_never_changes() -> None:
    """This id is at SAT for ever: a release that derives another one would pay twice."""
    assert request_id_of("demo", "order-1") == "SYVKKQWIRRD57Y5UJJMD3NPF7C7Q7DFT"
    assert batch_id_of("demo", "a batch") == "BCIGXYP7PPVEF2SFJC4PAT2QWL"


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_ids_meet_only_for_the_same_account_and_reference(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    """Moving a character from the account to the reference makes another order."""
    assert (request_id_of(*one) == request_id_of(*other)) == (one == other)
    assert re.fullmatch(r"S[A-Z2-7]{31}", request_id_of(*one))
    assert re.fullmatch(r"B[A-Z2-7]{25}", batch_id_of(*one))


@given(st.text(), st.text(), st.none() | st.integers(0, 10**15), st.tuples(st.text(), st.text()))
def test_a_digest_is_that_of_compact_json(
    code: str, number: str, amount: int | None, field: tuple[str, str]
) -> None:
    """Whatever the text: another writer of JSON, in any language and release, gives the same digest."""
    ordered = [code, number, amount, None, None, [list(field)]]
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
    expected = hashlib.sha256(text.encode("utf-8")).hexdigest()
    assert payload_digest(code, number, amount, None, None, [field]) == expected


def test_a_payload_is_everything_that_was_ordered() -> None:
    """Each part of a row changes the digest; the order of fields does, too."""
    base = ("p", "0812", None, None, None, (("a", "1"), ("b", "2")))
    others = [
        ("q", *base[1:]),
        ("p", "0813", *base[2:]),
        ("p", "0812", 1, None, None, base[5]),
        ("p", "0812", None, 1, None, base[5]),
        ("p", "0812", None, None, "d", base[5]),
        (*base[:5], (("b", "2"), ("a", "1"))),
        (*base[:5], ()),
    ]
    digests = [payload_digest(*parts) for parts in (base, *others)]
    assert len(set(digests)) == len(digests)
