"""Callbacks as other serialisers and clients send them: verified over raw bytes, header in any case."""

from __future__ import annotations

import json

import pytest

from tests.integration.receiver.serving import SIGNER, Served, order


@pytest.mark.parametrize("form", ["compact", "spaced", "newline at the end", "raw UTF-8", "escaped"])
def test_a_callback_is_verified_over_anything_but_its_raw_bytes(served: Served, form: str) -> None:
    """Every spelling of the same document is valid with its own signature, and with no other's."""
    document = json.loads(order("SFORM1", note="é & <b>"))
    compact = {"separators": (",", ":")}
    forms = {
        "compact": json.dumps(document, **compact),
        "spaced": json.dumps(document),
        "newline at the end": json.dumps(document, **compact) + "\n",
        "raw UTF-8": json.dumps(document, ensure_ascii=False, **compact),
        "escaped": json.dumps(document, **compact).replace("&", "\\u0026").replace("<", "\\u003c"),
    }
    body = forms.pop(form).encode()
    assert served.post(body).status_code == 200
    for other in forms.values():
        refused = served.post(body, signer=None, headers={"signature": SIGNER.sign(other.encode())})
        assert refused.status_code == 400


@pytest.mark.parametrize("name", ["signature", "Signature", "SIGNATURE"])
def test_the_signature_header_is_found_in_one_case_only(served: Served, name: str) -> None:
    """Header names have no case."""
    body = order("SCASE1")
    reply = served.post(body, signer=None, headers={name: SIGNER.sign(body)})
    assert reply.status_code == 200
