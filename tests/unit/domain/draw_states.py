"""Draws ``docs/order-states.md`` from the code that runs, by trying every command in every situation."""

from __future__ import annotations

from pathlib import Path

from sat_hook.domain.decision import Refusal, RefusalReason
from sat_hook.domain.order import OrderState, evolve
from sat_hook.domain.order_decisions import decide
from tests.orders import T0
from tests.unit.domain.situations import COMMANDS, REQUEST_ID, SITUATIONS

PAGE = Path(__file__).parents[3] / "docs" / "order-states.md"


def page() -> str:
    """The page as it must be."""
    moves: dict[tuple[str, str], set[str]] = {}
    for situation in SITUATIONS:
        for command in COMMANDS.values():
            order = situation.order
            answer = decide(order, command)
            for event in () if isinstance(answer, Refusal) else answer:
                after = evolve(order, REQUEST_ID, event, T0)
                key = (order.state.value if order else "[*]", after.state.value)
                moves.setdefault(key, set()).add(event.type_name)
                order = after
    lines = [
        "# The life of an order",
        "",
        "All states of an order and the events that move it, for people who change the rules or read the",
        "log. This page is generated: it tries every command in every situation of",
        "`tests/unit/domain/situations.py`, and a test keeps it true. Renew it with",
        "`.venv/bin/python -m tests.unit.domain.draw_states`.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f"    {source} --> {target}" for source, target in sorted(moves) if source != target),
        *(f"    {state.value} --> [*]" for state in OrderState if state.is_final),
        "```",
        "",
        "| from | to | by |",
        "|---|---|---|",
    ]
    for (source, target), names in sorted(moves.items()):
        origin = "(new)" if source == "[*]" else source
        lines.append(f"| {origin} | {target} | {', '.join(f'`{name}`' for name in sorted(names))} |")
    lines += [
        "",
        "A row from a state to itself records a fact without moving the order. Every other command is",
        "refused by name and changes nothing:",
        "",
        ", ".join(f"`{reason.value}`" for reason in RefusalReason) + ".",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
