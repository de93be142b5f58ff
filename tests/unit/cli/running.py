"""Runs the command in this process, as the shell would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from sat_hook.cli import main
from sat_hook.cli.settings import CONFIG_VARIABLE, KEYS


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call it with arguments, and with the environment's settings as ``env=``."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> Ran:
        for key in (*KEYS, CONFIG_VARIABLE, "SAT_RECEIVER_CONFIG"):
            monkeypatch.delenv(key, raising=False)
        for key, value in (env or {}).items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr(sys, "argv", ["sat", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run
