"""TLS and proxy settings from the environment variables, read the same way for both clients."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from sat_hook.clients.errors import InvalidSettingsError

CA_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""In order of precedence."""


def ca_bundle() -> str:
    """The file or folder of trusted authorities: from the environment, else from certifi.

    :raises InvalidSettingsError: when a variable names a missing path; it is safer to stop than to trust
        other authorities than the operator chose.
    """
    for variable in CA_BUNDLE_VARIABLES:
        path = os.environ.get(variable, "")
        if path:
            if not Path(path).exists():
                raise InvalidSettingsError(variable, f"{path!r}, which does not exist", "a CA bundle")
            return path
    return DEFAULT_CA_BUNDLE_PATH


def tls_context(bundle: str) -> ssl.SSLContext:
    """A verifying TLS context that trusts only ``bundle``.

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
