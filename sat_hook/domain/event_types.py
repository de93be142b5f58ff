"""The types of events by the kind of stream that they belong to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from sat_hook.domain import (
    account,
    account_rules,
    approval_events,
    batch_events,
    books_events,
    console_users,
    export,
    legacy_events,
    log_archives,
    order_events,
    rights_seen,
    verifications,
    webhooks,
)
from sat_hook.domain.event_record import StreamKind, registered_events

_MODULES: Mapping[StreamKind, tuple[ModuleType, ...]] = {
    StreamKind.ORDER: (order_events,),
    StreamKind.BATCH: (approval_events, batch_events),
    StreamKind.ACCOUNT: (account, account_rules, books_events),
    StreamKind.EXPORT: (export,),
    StreamKind.USER: (console_users,),
    StreamKind.LOG: (verifications, log_archives),
    StreamKind.RIGHTS: (rights_seen,),
    StreamKind.WEBHOOK: (webhooks,),
}


def _of(modules: tuple[ModuleType, ...]) -> tuple[str, ...]:
    names = {module.__name__ for module in modules}
    return tuple(
        sorted({name for (name, _), kind in registered_events().items() if kind.__module__ in names})
    )


TYPES_OF_STREAMS: Mapping[StreamKind, tuple[str, ...]] = {
    kind: _of(modules) for kind, modules in _MODULES.items()
}
"""Earlier shapes of an event have the name of the present one."""

assert legacy_events  # registers them
