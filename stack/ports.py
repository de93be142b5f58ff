"""TCP ports of the stack, the same ones at each start while they are free."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from stack.postgres import free_port, is_port_free

_USUAL = {"api": 8080, "sandbox": 8090}


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of the parts."""

    postgres: int
    api: int
    sandbox: int

    @classmethod
    def choose(cls, path: Path, *, postgres: int, running: Collection[str]) -> Ports:
        """Choose the ports and store them in ``path``.

        :param postgres: the port of the running server.
        :param running: names of the ports whose owner already runs; they stay.
        """
        kept: dict[str, int] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        chosen = {"postgres": postgres, **{name: kept[name] for name in running if name in kept}}
        for name, usual in _USUAL.items():
            if name not in chosen:
                wishes = (kept.get(name, usual), usual)
                usable = (port for port in wishes if port not in chosen.values() and is_port_free(port))
                chosen[name] = next(usable, None) or free_port()
        if chosen != kept:
            path.write_text(json.dumps(chosen) + "\n", "utf-8")
        return cls(**chosen)

    @classmethod
    def kept(cls, path: Path) -> Ports | None:
        """The ports of the last start, if there was one."""
        return cls(**json.loads(path.read_text("utf-8"))) if path.exists() else None
