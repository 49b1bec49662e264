"""The wheel in a fresh environment: the command, the library without servers, and a worker from another folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import MakeCluster

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("glassraft", "pyproject.toml", "README.md", "LICENSE", "tests/requirements.txt")
PIP_S = 100
SETUPTOOLS_NEEDED = 77
"""pyproject.toml's; one that is older here is not used, and pip has to get another."""

TASKS = """
from glassraft import task

@task
def double(number: int) -> int:
    return 2 * number
"""


def run(*command: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GLASSRAFT"))
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=clean | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PIP_S,
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build leaves anything in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "source" / name)
    options = ["--no-deps", "--disable-pip-version-check", "-q", "-w", folder]
    if _has_setuptools():
        options.append("--no-build-isolation")
    done = run(sys.executable, "-m", "pip", "wheel", *options, folder / "source", folder=folder)
    if done.returncode and not _has_setuptools() and "setuptools" in done.stderr + done.stdout:
        pytest.skip(f"setuptools {SETUPTOOLS_NEEDED} is not here, and pip cannot get it")
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


def _has_setuptools() -> bool:
    try:
        return int(metadata.version("setuptools").partition(".")[0]) >= SETUPTOOLS_NEEDED
    except metadata.PackageNotFoundError:
        return False


@pytest.fixture(scope="session")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fresh environment's programs: python, and glassraft."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv")
    programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    options = ["install", "--no-deps", "--no-index", "--disable-pip-version-check", "-q", wheel]
    done = run(sys.executable, "-m", "pip", "--python", programs / "python", *options, folder=folder)
    assert done.returncode == 0, done.stderr
    return programs


def test_the_library_is_there_and_what_belongs_to_a_checkout_is_not(programs: Path, tmp_path: Path) -> None:
    script = (
        "import importlib.util, sys, glassraft, glassraft.testing\n"
        "from glassraft import JobQueue, Worker, task\n"
        "print(sorted(name for name in ('window', 'supervisor', 'simulation', 'evaluation', 'jobqueue')\n"
        "             if importlib.util.find_spec('glassraft.' + name)))\n"
        "@task\n"
        "def twice(n: int) -> int: return 2 * n\n"
        "with JobQueue.inline() as queue: print(queue.submit(twice, 21).result(timeout=5))\n"
    )
    done = run(programs / "python", "-c", script, folder=tmp_path)
    assert (done.stdout, done.stderr) == ("['jobqueue']\n42\n", "")


def test_the_command_says_what_it_needs(programs: Path, tmp_path: Path) -> None:
    done = run(programs / "glassraft", "list", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("glassraft: say which cluster: --cluster FILE or HOST:PORT")
    done = run(programs / "glassraft", "worker", "--cluster", "127.0.0.1:1", folder=tmp_path)
    assert (done.returncode, "knows no tasks" in done.stderr) == (2, True)
    done = run(
        programs / "glassraft", "worker", "--cluster", "127.0.0.1:1", "--tasks", "nowhere", folder=tmp_path
    )
    assert (done.returncode, "No module named 'nowhere'" in done.stderr) == (2, True)


def test_a_worker_from_another_folder_runs_jobs_by_address(
    programs: Path, tmp_path: Path, make_cluster: MakeCluster
) -> None:
    cluster = make_cluster(3)
    address = f"127.0.0.1:{cluster.config.nodes[0].port}"
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "reports.py").write_text(TASKS, encoding="utf-8")
    command = [str(programs / "glassraft"), "worker", "--cluster", address, "--tasks", "reports.py"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as worker:
        try:
            submit = ("submit", "double", 21, "--wait", "--within", 60, "--json")
            done = run(programs / "glassraft", *submit, folder=tmp_path, GLASSRAFT_CLUSTER=address)
            assert (done.returncode, done.stderr) == (0, "")
            assert json.loads(done.stdout)["result"] == 42
        finally:
            worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
