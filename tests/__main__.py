"""`python -m tests`: the one command that runs the tests, on a machine that has nothing but Python.

It makes .venv-tests beside the programs (and uses it again while what is needed stays the same),
installs Xvfb for the window's tests where it may, and runs pytest there. Arguments go on to
pytest: `python -m tests tests/raft -k vote`. Its exit status is pytest's. Only the standard
library is used, and nothing has to be activated.
"""

from __future__ import annotations  # so that a Python that is too old gets as far as being told so

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "tests" / "requirements.txt"
VENV = ROOT / ".venv-tests"
STAMP = VENV / "glassraft-stamp"

PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
MAX_WORKERS = 4
"""Real clusters run in the tests: more of them at a time than this get in each other's way."""

CANNOT_PREPARE = 2


class CannotPrepare(Exception):
    """The tests cannot be run on this machine as it is: the message says why and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Prepare what is missing, run pytest, and return its exit status."""
    try:
        check_python()
        prepare_venv()
    except CannotPrepare as error:
        print(f"tests: {error}", file=sys.stderr)
        return CANNOT_PREPARE
    prepare_display()
    workers = max(2, min(MAX_WORKERS, os.cpu_count() or 1))
    command = [str(PYTHON), "-m", "pytest", "-n", str(workers), "--dist", "worksteal", *arguments]
    say("pytest " + " ".join(command[3:]))
    try:
        return subprocess.call(command, cwd=ROOT)
    except KeyboardInterrupt:
        return 130


def check_python() -> None:
    """Refuse a Python that is too old, or that cannot make a virtual environment."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one is told so here
        raise CannotPrepare(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}")
    if not has_venv() and may_install():
        say("installing python3-venv")
        install("python3-venv")
    if not has_venv():
        raise CannotPrepare(
            f"{sys.executable} cannot make a virtual environment (venv or ensurepip is missing); "
            "on Debian: apt-get install python3-venv; or use another Python"
        )


def has_venv() -> bool:
    """Whether this Python came with what a virtual environment needs."""
    return all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip"))


def prepare_venv() -> None:
    """Make the virtual environment, unless one for the same requirements and Python is there."""
    wanted = stamp()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        return
    say(f"making {VENV.name} with what the tests need (once)")
    run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        f"cannot make {VENV}",
    )
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    run(
        [*pip, "-r", str(REQUIREMENTS)],
        f"cannot install what {REQUIREMENTS.relative_to(ROOT)} lists (is there a network?)",
    )
    STAMP.write_text(wanted, encoding="utf-8")


def stamp() -> str:
    """What the environment depends on, as one line: the requirements and the Python under it."""
    requirements = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    return f"{requirements} {sys.version_info[:2]} {sys.base_prefix} {VENV}\n"


def prepare_display() -> None:
    """Install Xvfb where the window's tests need one and this user may; else say what is missing."""
    if importlib.util.find_spec("tkinter") is None:
        say("this Python has no tkinter: the window's tests are left out (Debian: python3-tk)")
        return
    if not sys.platform.startswith("linux") or shutil.which("Xvfb"):
        return
    if may_install():
        say("installing Xvfb")
        install("xvfb")
    if not shutil.which("Xvfb"):
        say("Xvfb is missing: the window's tests are left out (Debian: xvfb)")


def may_install() -> bool:
    """Whether this is root on a system with apt-get."""
    return sys.platform.startswith("linux") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(package: str) -> None:
    """Try to install one Debian package. A failure is seen by what is missing afterwards."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run(
            ["apt-get", "-qq", *step],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def run(command: Sequence[str], problem: str) -> None:
    """Run one preparing step quietly. CannotPrepare with its last line of error where it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise CannotPrepare(f"{problem}: {lines[-1].strip() if lines else f'exit status {done.returncode}'}")


def say(text: str) -> None:
    """One line about what is done."""
    print(f"tests: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
