"""TCP ports of the stack, the same ones at each start while they are free."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from stack.postgres import free_port, is_port_free

_USUAL = {"api": 8080, "sandbox": 8090}


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of the parts."""

    postgres: int
    api: int
    sandbox: int

    @classmethod
    def choose(cls, path: Path, *, postgres: int, running: Collection[str]) -> Self:
        """Choose the ports and store them in ``path``.

        :param postgres: the port of the running server.
        :param running: names of the ports whose owner already runs; they stay.
        """
        kept: dict[str, int] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        chosen = {"postgres": postgres, **{name: kept[name] for name in running if name in kept}}
        for name in (field.name for field in fields(cls)):
            if name not in chosen:
                wishes = (kept.get(name), _USUAL.get(name))
                usable = (
                    port for port in wishes if port and port not in chosen.values() and is_port_free(port)
                )
                chosen[name] = next(usable, None) or free_port()
        if chosen != kept:
            path.write_text(json.dumps(chosen) + "\n", "utf-8")
        return cls(**chosen)

    @classmethod
    def kept(cls, path: Path) -> Self | None:
        """The ports of the last start, if there was one."""
        return cls(**json.loads(path.read_text("utf-8"))) if path.exists() else None
