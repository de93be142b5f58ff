"""Installing into a checkout, when two ``make`` run at once in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
# A Python that notes what it is asked for, takes its time with it, and otherwise is this one.
INTERPRETER = f"""#!/bin/sh
case "$1 $2" in
    "-m venv") step=venv; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip") step=pip ;;
    *) exec {sys.executable} "$@" ;;
esac
echo "begin $step" >> steps; sleep 0.3; echo "end $step" >> steps
"""


def test_two_that_install_at_once_follow_each_other(tmp_path: Path) -> None:
    """The second waits, says so, and finds everything done."""
    shutil.copytree(CHECKOUT / "scripts", tmp_path / "scripts")
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text("", "utf-8")
    python = tmp_path / "python"
    python.write_text(INTERPRETER, "utf-8")
    python.chmod(0o755)
    both = [
        subprocess.Popen(
            [tmp_path / "scripts" / "ensure-venv", "run"],
            env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = "".join(process.communicate(timeout=30)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert told.count("making .venv") == 1
    assert told.count("waiting for another make") == 1
    steps = (tmp_path / "steps").read_text("utf-8").splitlines()
    assert steps == ["begin venv", "end venv", *["begin pip", "end pip"] * 2]
