"""``probe.py URL [COMPONENT]``: exit code 0 when URL answers 200 and its COMPONENT, if named, is healthy.

The containers' health check: standard library only, because it starts every few seconds. Airflow's
``/api/v2/monitor/health`` answers 200 whatever is wrong, and says in its body which component is healthy.
"""

from __future__ import annotations

import json
import sys
import urllib.request

ANSWER_SECONDS = 4.0
MAXIMUM_BYTES = 64 * 1024


def is_healthy(url: str, component: str | None) -> bool:
    """Whether ``url`` answers 200 and says so of ``component``."""
    if component is None:
        text_of(url)
        return True
    return status_of(health_of(url), component) == "healthy"


def health_of(url: str) -> object:
    """What ``url`` answers, read as JSON. OSError without an answer 200, ValueError for anything but JSON."""
    return json.loads(text_of(url))


def text_of(url: str) -> bytes:
    """What ``url`` answers with 200."""
    # Inside the deployment nothing goes through a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=ANSWER_SECONDS) as reply:
        if reply.status != 200:
            raise OSError(f"found the answer {reply.status}; expected 200")
        return bytes(reply.read(MAXIMUM_BYTES))


def status_of(health: object, component: str) -> object:
    """The status that Airflow gives a component; None when it gives none."""
    part = health.get(component) if isinstance(health, dict) else None
    return part.get("status") if isinstance(part, dict) else None


def main(arguments: list[str]) -> int:
    """The exit code; one line says what went wrong."""
    url, component = arguments[0], arguments[1] if len(arguments) > 1 else None
    try:
        healthy = is_healthy(url, component)
    except (OSError, ValueError) as error:
        print(f"{url}: {error}")
        return 1
    if not healthy:
        print(f"{url}: {component or 'it'} is not healthy")
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
