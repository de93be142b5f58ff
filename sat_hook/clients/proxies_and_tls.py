"""What the environment of the process says about TLS and proxies, read the same way for both clients."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from sat_hook.clients.settings import InvalidSettingsError

CA_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""In the order in which they win."""


def ca_bundle(environment: Mapping[str, str] | None = None) -> str:
    """The file or folder of trusted authorities: the environment's, else certifi's.

    :raises InvalidSettingsError: when a variable names something that does not exist; trusting other
        authorities than the operator chose would be worse than stopping.
    """
    for variable in CA_BUNDLE_VARIABLES:
        path = (os.environ if environment is None else environment).get(variable, "")
        if path:
            if not Path(path).exists():
                raise InvalidSettingsError(variable, f"{path!r}, which does not exist", "a CA bundle")
            return path
    return DEFAULT_CA_BUNDLE_PATH


def tls_context(bundle: str) -> ssl.SSLContext:
    """A verifying context that trusts exactly ``bundle``.

    :raises InvalidSettingsError: when it holds no certificates.
    """
    try:
        if Path(bundle).is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except (ssl.SSLError, OSError) as error:
        raise InvalidSettingsError("CA bundle", f"{bundle!r}, which cannot be read", "PEM") from error


def proxy_of(url: str) -> str | None:
    """The proxy for ``url`` by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, if any."""
    return select_proxy(url, get_environ_proxies(url, no_proxy=None))
