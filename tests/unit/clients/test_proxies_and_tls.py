"""TLS and proxies as the environment of the process says, the same for both clients."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sat_hook.clients.errors import InvalidSettingsError
from sat_hook.clients.proxies_and_tls import tls_context
from sat_hook.protocol.errors import NeverSentError
from sat_hook.protocol.messages import OrderRequest, encode_order
from sat_hook.protocol.outcomes import CheckoutVerdict
from tests.scripted_sat import ScriptedSAT, http_answer, json_answer, scripted_sat
from tests.unit.clients.conftest import MakeSettings

BODY = encode_order(OrderRequest(request_id="ORDER1", product_code="p", client_number="1"))
PING = json_answer({"sandbox": True, "status": "ok"})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.txt"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture
def secure_sat(certificate: Path) -> Iterator[ScriptedSAT]:
    """SAT behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with scripted_sat(context) as server:
        server.script["/ping"] = PING
        yield server


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_ca_bundle_is_ignored(
    make_client: Any,
    settings: MakeSettings,
    secure_sat: ScriptedSAT,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    """The operator's bundle decides whom to trust."""
    monkeypatch.setenv(variable, str(certificate))
    client = make_client(
        settings(
            base_url=secure_sat.base_url,
            token_url=secure_sat.token_url,
            read_timeout_seconds=30,
            total_timeout_seconds=30,
        )
    )
    assert client.ping().sandbox is True


def test_unknown_authority_is_trusted(
    make_client: Any, settings: MakeSettings, secure_sat: ScriptedSAT
) -> None:
    """Without that bundle the server is a stranger: nothing is sent to it."""
    client = make_client(settings(base_url=secure_sat.base_url, total_timeout_seconds=30))
    outcome = client.place_order(BODY, "ORDER1", None)
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.NOT_SENT, "tls")
    assert not secure_sat.received


def test_ca_bundle_that_does_not_exist(
    make_client: Any,
    settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A variable that names no bundle stops the client instead of trusting others; so does an empty one."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(InvalidSettingsError, match="REQUESTS_CA_BUNDLE"):
        make_client(settings())
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InvalidSettingsError, match="cannot be read"):
        tls_context(str(tmp_path / "empty.txt"))


def test_proxy_is_ignored(
    make_client: Any,
    settings: MakeSettings,
    sat: ScriptedSAT,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HTTP_PROXY gets the request for SAT; NO_PROXY keeps the token server out of it."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{sat.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    sat.script["http://sat.invalid/api/ping"] = PING
    client = make_client(settings(base_url="http://sat.invalid/api"))
    assert client.ping().sandbox is True
    assert [request.target for request in sat.received] == ["/token", "http://sat.invalid/api/ping"]


def test_request_reaches_a_refusing_proxy(
    make_client: Any,
    settings: MakeSettings,
    sat: ScriptedSAT,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy that refuses the tunnel has not seen a byte of the order, so it was never sent."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{sat.port}")
    sat.script["sat.invalid:443"] = http_answer(403, b"", Connection="close")
    client = make_client(settings(base_url="https://sat.invalid/api"))
    outcome = client.place_order(BODY, "ORDER1", None)
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.NOT_SENT, "proxy")
    assert [request.method for request in sat.received] == ["POST", "CONNECT"]
    assert "authorization" not in sat.received[1].headers


def test_netrc_replaces_the_token(
    make_client: Any,
    settings: MakeSettings,
    sat: ScriptedSAT,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A .netrc of the user has no say in who we are."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    sat.script["/ping"] = PING
    client = make_client(settings())
    client.ping()
    assert sat.requests_to("/ping")[0].headers["authorization"] == "Bearer c:token-1"


def test_proxy_that_is_not_there(
    make_client: Any, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead proxy means never sent, also for the token."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with pytest.raises(NeverSentError):
        make_client(settings()).ping()
