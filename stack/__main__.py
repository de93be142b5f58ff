"""``python -m stack setup|up|down|status|demo``, called by the Makefile's targets."""

from __future__ import annotations

import argparse
import signal
import sys

from rich.console import Console

from stack.airflow_settings import SAT_ACCOUNT
from stack.errors import StackError
from stack.layout import Layout
from stack.lifecycle import Stack

INTERRUPTED = 130


def main() -> int:
    """Run one command; the exit code is 0 on success."""
    parser = argparse.ArgumentParser(prog="python -m stack", description="The local stack of this checkout.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in _COMMANDS.items():
        commands.add_parser(name, help=(command.__doc__ or "").splitlines()[0])
    name = parser.parse_args().command
    # A closed terminal or a cancelled build must not leave a partial stack.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    console = Console(highlight=False)
    stack = Stack(Layout.here(), lambda line: console.print(f"• {line}", style="dim"))
    try:
        return _COMMANDS[name](stack, console)
    except (StackError, PermissionError) as error:
        Console(stderr=True, highlight=False).print(
            f"{name} failed: {error}", style="red", markup=False, soft_wrap=True
        )
        return 1
    except KeyboardInterrupt:
        Console(stderr=True).print(f"{name} was interrupted", style="red")
        return INTERRUPTED


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def _setup(stack: Stack, console: Console) -> int:
    """Prepare databases, keys and connections; start nothing."""
    stack.setup()
    console.print("set up; 'make up' starts it, 'make demo' shows the main job")
    return 0


def _up(stack: Stack, console: Console) -> int:
    """Start everything in the background and print the addresses."""
    settings = stack.up()
    passwords = stack.credentials.user_passwords
    lines = {
        "Airflow": settings.airflow_url,
        "console": f"{settings.airflow_url}/sat/console/",
        "maker": f"user ops, password {passwords['ops']}: submits batches",
        "approver": f"user approver, password {passwords['approver']}: approves them",
        "admin": f"user admin, password {passwords['admin']} (others: {settings.layout.airflow_passwords})",
        "SAT server": f"{settings.sandbox_url}/api, what it charged: {settings.sandbox_url}/_sandbox/ledger",
        "submit": ".venv/bin/sat batch submit examples/orders.csv --wait",
        "settlements": f"{stack.layout.settlements / SAT_ACCOUNT} (SAT's files, as they come)",
        "logs": str(stack.layout.logs),
        "stop": "make down",
    }
    for label, value in lines.items():
        console.print(f"{label:<12}{value}", markup=False, soft_wrap=True)
    return 0


def _down(stack: Stack, console: Console) -> int:
    """Stop all running parts."""
    console.print("stopped" if stack.down() else "nothing was running")
    return 0


def _status(stack: Stack, console: Console) -> int:
    """Print the state of the parts; exit code 1 unless all run."""
    parts = stack.status()
    for part in parts:
        state = "ready" if part.is_ready else "not ready" if part.pid else "stopped"
        console.print(
            f"{part.name:<14}{state:<11}{part.pid or '':<9}{part.where}", markup=False, soft_wrap=True
        )
    if not parts:
        console.print("never set up: run 'make setup'")
    return 0 if parts and all(part.is_ready for part in parts) else 1


def _demo(stack: Stack, console: Console) -> int:
    """Run the main job once and check it; afterwards stop what this command started."""
    from stack import demo  # imports the domain, which the other commands do not need

    return demo.run(stack, console)


_COMMANDS = {"setup": _setup, "up": _up, "down": _down, "status": _status, "demo": _demo}

if __name__ == "__main__":
    sys.exit(main())
