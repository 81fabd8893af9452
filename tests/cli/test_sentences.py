"""The command speaks as a command: no Python in its messages, and lines to copy that work."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import kling_effects_async
from kling_effects_async import Job, JobState
from kling_effects_async.cli.app import app
from kling_effects_async.cli.attempt import Attempt
from kling_effects_async.cli.console import one_line
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.hints import adopt_command, resume_command, settle_command
from kling_effects_async.cli.messages import PYTHON_WORDS, in_our_words, sentence
from kling_effects_async.cli.output_path import OutputPath
from kling_effects_async.cli.run_journal import reject_of_other_account
from kling_effects_async.cli.service_choice import ServiceChoice
from tests.submitting.test_planning import SQUISH, plan
from tests.support.command_line import kling

PACKAGE = Path(kling_effects_async.__file__).parent
# Raised where a program, and no command line, is at fault; or said to programs alone.
_FOR_PROGRAMS = {"TypeError", "ValueError", "RuntimeError", "AssertionError", "AttributeError"}
# ``Kind`` describes what a TypeError says an argument must be.
_CALLS_FOR_PROGRAMS = {"add_note", "warn", "execute", "open", "Kind"}


# -- every message of the library


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text of a file but docstrings and what is for programs; ``X`` is what varies."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.Call) and _called(node) in _FOR_PROGRAMS | _CALLS_FOR_PROGRAMS:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(_part(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        else:
            yield from texts(node)


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _part(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "X"


def messages() -> Iterator[tuple[str, str]]:
    """What has a space in it is for people to read."""
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        if room in ("cli", "emulator", "report", "testing.py", "__init__.py"):
            continue
        for text in texts(ast.parse(path.read_text("utf-8"))):
            if " " in text.strip() and not text.startswith("<"):  # a repr
                yield str(path.relative_to(PACKAGE)), text


def test_the_messages_are_found() -> None:
    found = [text for _file, text in messages()]
    assert len(found) > 200
    assert any("prepare() enlarges it" in text for text in found)
    assert any("start_fresh=True" in text for text in found)


@pytest.mark.parametrize(
    ("file", "text"), [pair for pair in messages() if PYTHON_WORDS.search(pair[1])]
)
def test_no_message_reaches_the_command_with_python_in_it(file: str, text: str) -> None:
    ours = in_our_words(text)
    assert ours.strip(), file
    assert not PYTHON_WORDS.search(ours), (file, ours)


@pytest.mark.parametrize(
    "text",
    [
        "a.mp4 exists already; pass overwrite=True to replace it",
        "the task goes on at the service: attach() to it with an open client",
        "the client was closed; what came is kept, call download() again",
        "the journal has it under another account: await journal.adopt('a', 'b'), or account='a'",
        "use https, or allow_plain_http=True inside a network you trust",
        "use DualImageEffect with left= and right=",
        "resume() needs a journal: EffectsClient(..., journal='jobs.db')",
        "base_url must be bare: no user name, password, query or fragment",
        "deadline_s must be a number above 0, not nan",
    ],
)
def test_python_is_recognised_and_goes(text: str) -> None:
    assert PYTHON_WORDS.search(text)
    assert not PYTHON_WORDS.search(in_our_words(text))


@pytest.mark.parametrize(
    "text",
    [
        "photo(1).jpg: There is no such file.",
        "job(s) a=b.db cannot be read",
        "code=1201, image=x is wrong (request 1)",
        "It has 5 bytes, and Kling takes JPEG and PNG; --prepare converts it.",
    ],
)
def test_what_is_no_python_stays_as_it_is(text: str) -> None:
    assert in_our_words(text) == text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(24, "Too many open files", "/x/y"), "Too many open files: /x/y"),
        (FileNotFoundError(2, "No such file or directory"), "the working folder is gone"),
    ],
)
def test_what_the_machine_rejects_is_a_sentence_and_no_fault_of_the_program(
    error: OSError, said: str
) -> None:
    assert said in sentence(error)
    assert "fault" not in sentence(error)


def test_an_id_that_cannot_be_one_has_nothing_to_fetch(tmp_path: Path) -> None:
    ended = kling("fetch", ".", folder=tmp_path, KLING_API_KEY="test-key")
    assert (ended.code, len(ended.err.splitlines())) == (ExitCode.REJECTED_HERE, 1)


# -- lines to copy


def parsed(line: str, command: Sequence[str]) -> dict[str, Any]:
    """What the command line means to the command; a shell has taken it apart before."""
    words = shlex.split(line)
    assert words[: 1 + len(command)] == ["kling-effects", *command]
    found: click.Command = app
    context = click.Context(app)
    for name in command:
        assert isinstance(found, click.Group)
        _name, command_of_name, _rest = found.resolve_command(context, [name])
        assert command_of_name is not None
        found = command_of_name
        context = click.Context(found, parent=context)
    return found.make_context(command[-1], words[1 + len(command) :], parent=context.parent).params


NAMES = st.text(min_size=1).filter(str.strip).filter(str.isprintable)


@given(NAMES, NAMES, st.none() | NAMES, st.sampled_from([None, "--resubmit", "--abandon"]))
def test_a_line_that_settles_a_job_means_that_job(
    name: str, journal: str, account: str | None, how: str | None
) -> None:
    line = settle_command(name, journal=journal, account=account, how=how)
    params = parsed(line, ["jobs", "settle"])
    assert (params["name"], params["journal"], params["account"]) == (name, journal, account)
    assert params["is_to_resubmit"] == (how == "--resubmit")
    assert params["is_to_abandon"] == (how == "--abandon")


@given(NAMES, st.none() | NAMES, st.none() | NAMES)
def test_a_line_that_resumes_means_that_journal(
    journal: str, account: str | None, folder: str | None
) -> None:
    line = resume_command(
        journal=journal,
        service=ServiceChoice("https://gw.example"),
        account=account,
        download_to=folder,
    )
    params = parsed(line, ["jobs", "resume"])
    assert (params["journal"], params["account"], params["download_to"]) == (
        journal,
        account,
        folder,
    )
    assert params["service"] == ServiceChoice("https://gw.example")


@given(NAMES, NAMES)
def test_a_line_that_adopts_means_that_account(account: str, journal: str) -> None:
    params = parsed(adopt_command(account, journal=journal), ["jobs", "adopt"])
    assert (params["from_account"], params["journal"]) == (account, journal)


@given(NAMES.filter(lambda name: "/" not in name), NAMES)
def test_a_line_that_fetches_means_that_task_and_file(task_id: str, output: str) -> None:
    target = OutputPath(Path(output), is_folder=False, overwrite=False)
    params = parsed(Attempt(output=target, task_id=task_id).command(), ["fetch"])
    assert (params["task_id"], params["output"]) == (task_id, str(Path(output)))


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell is needed")
@pytest.mark.parametrize("name", ["a  b", "a\nb", "tab\there", "it's", "caf\udce9", "-x", "$(id)"])
def test_a_shell_takes_a_line_apart_into_the_same_words(name: str) -> None:
    line = one_line(settle_command(name, journal="j.db")).replace("kling-effects", "printf '%s|'")
    said = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert said.decode("utf-8", "surrogateescape").split("|")[-2] == name


# -- a job of another account


@pytest.mark.parametrize(
    ("service", "is_rejected"), [("https://gw.example", True), ("https://other.example", False)]
)
def test_only_a_job_that_the_same_service_may_have_is_in_the_way(
    service: str, is_rejected: bool
) -> None:
    """Fault 72: the key was rotated."""
    ours = _of("ours", "https://gw.example")
    reject = partial(
        reject_of_other_account,
        job=ours,
        journal="j.db",
        given_service=ServiceChoice(),
        one_more="",
    )
    reject([_of("theirs", service), ours])  # ours is there as well
    if not is_rejected:
        reject([_of("theirs", service)])
        return
    with pytest.raises(Failure) as caught:
        reject([_of("theirs", service)])
    assert caught.value.code is ExitCode.REJECTED_HERE
    assert all(name in " ".join(caught.value.lines) for name in ("ours", "theirs", "--account"))


def _of(account: str, service: str) -> Job:
    return evolve(plan(SQUISH), account=account, service=service, state=JobState.DOWNLOADED)
