"""Every check of the project: `nox` runs them all, `nox -s tests` the tests on one Python."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["lint", "types", "tests", "tests_older", "wheel"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
# pyenv keeps its interpreters off the path, behind shims that only know the selected one.
for folder in sorted(Path.home().glob(".pyenv/versions/3.*/bin")):
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
FOUND = [version for version in PYTHONS if shutil.which(f"python{version}")]
# Half of the suite's time is waiting for processes and disks, so two workers leave two cores idle.
# Some tests take a hundred times as long as others: who is done takes tests from who is not.
WORKERS = ("-n", "4", "--dist", "worksteal")
# These look at the repository, a browser, or what processes and disks do: one Python is enough.
ONCE = (
    "tests/polling/test_scale.py",
    "tests/report/test_in_browser.py",
    "tests/simulation",
    "tests/test_crash.py",
    "tests/test_damaged_batches.py",
    "tests/test_faults.py",
    "tests/test_floors.py",
    "tests/test_mutants.py",
    "tests/test_own_rules.py",
    "tests/test_soak.py",
    "tests/test_words.py",
)
PYPROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> list[str]:
    """The requirements of a dependency group."""
    return nox.project.dependency_groups(PYPROJECT, name)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy on package and tests; how callers may use the public names; completeness of types."""
    session.install("-e", ".[cli,emulator]", *group("types"))
    session.run("mypy")
    session.run("pyright", "tests/typing")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "kling_effects_async")


def run_suite(session: nox.Session, *options: str) -> None:
    """The suite; on one Python with ``[speed]``."""
    extras = "cli,emulator,speed" if session.python == "3.12" else "cli,emulator"
    session.install("-e", f".[{extras}]", *group("tests"))
    session.run("pytest", *WORKERS, *options, *session.posargs)


@nox.session(python=FOUND[-1:] or None)
def tests(session: nox.Session) -> None:
    """The whole suite, on the newest Python that this machine has."""
    run_suite(session)


@nox.session(python=FOUND[:-1] or False)
def tests_older(session: nox.Session) -> None:
    """The suite, but for what is looked at once, on every other Python that this machine has."""
    if not FOUND[:-1]:
        session.skip("this machine has one Python, and `tests` runs on that")
    run_suite(session, *(f"--ignore={path}" for path in ONCE))


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, and run the tests against it with the source folder out of reach."""
    session.install("build", *group("tests"))
    built = Path(session.create_tmp())
    shutil.rmtree(built / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--wheel", "--outdir", str(built / "dist"))
    wheel_file = next((built / "dist").glob("*.whl"))
    session.install("--force-reinstall", "--no-deps", str(wheel_file))
    session.install(f"{wheel_file}[cli,emulator]")
    elsewhere = built / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    elsewhere.mkdir()
    for name in ("tests", "docs"):
        shutil.copytree(name, elsewhere / name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(name, elsewhere)
    session.chdir(elsewhere)
    session.run("pytest", *WORKERS, *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill a batch 500 times for each rule about repeated ids, and damage it 160 times.

    ``-- --kills 5`` or ``-- --damage --rounds 8`` runs that alone.
    """
    session.install("-e", ".[cli]")  # about a quarter of an hour
    whole = (["--kills", "500"], ["--damage", "--rounds", "160"])
    for options in [session.posargs] if session.posargs else whole:
        session.run("python", "-m", "tests.crash", *options)


@nox.session
def soak(session: nox.Session) -> None:
    """Work for ten minutes against a service that fails; ``-- --minutes 60`` for an hour."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """A client, its journal and a service, from a seed, killed everywhere; takes five minutes."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.simulation", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the pure parts and see a test fail; ``-- slots`` for one module."""
    session.install("-e", ".[cli,emulator]", *group("mutants"))
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Our costs beside plain aiohttp's, on loopback; takes about seven minutes."""
    session.install(".[cli,emulator,speed]")
    session.run("python", "-m", "tests.bench", *session.posargs)
