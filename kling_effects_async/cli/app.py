"""The group of commands, and the one place where errors end."""

from __future__ import annotations

import os
from collections.abc import Sequence

import rich_click as click
from click.exceptions import Abort, ClickException, UsageError

from kling_effects_async.cli import version_text
from kling_effects_async.cli.commands import LazyGroup
from kling_effects_async.cli.console import (
    NotPrinted,
    json_line,
    lost_stdout,
    not_printed,
    say,
    write_err,
)
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.signals import Terminated, loading, raised_sigterm

__all__ = ["app", "run_app"]

_HERE = "kling_effects_async.cli"
_COMMANDS = {
    "run": (f"{_HERE}.run:run", "Run one effect and save its video."),
    "bulk": (f"{_HERE}.bulk.command:bulk", "Make a clip of every photograph of a folder."),
    "fetch": (f"{_HERE}.fetch:fetch", "Save the video of a task that was submitted before."),
    "status": (f"{_HERE}.status:status", "Show what the service says of tasks now."),
    "watch": (
        f"{_HERE}.watch:watch",
        "Print a line for each change of tasks, until all have ended.",
    ),
    "list": (
        f"{_HERE}.list_tasks:list_tasks",
        "List the account's tasks that the service knows.",
    ),
    "jobs": (f"{_HERE}.jobs:jobs", "List the jobs of a journal, and finish them."),
    "check": (
        f"{_HERE}.check:check",
        "Check pictures against Kling's rules, before anything is paid.",
    ),
    "scenes": (f"{_HERE}.scenes:scenes", "List the known scenes."),
    "auth": (f"{_HERE}.auth:auth", "Keep a key, list the profiles, or delete a key."),
    "doctor": (
        f"{_HERE}.doctor:doctor",
        "Check the settings, the key, the service and this machine.",
    ),
    "completion": (
        f"{_HERE}.completion:completion",
        "Print the completion script of a shell.",
    ),
    "emulate": (f"{_HERE}.emulate:emulate", "Run an emulator of the service on this machine."),
    "listen": (f"{_HERE}.listen:listen", "Print every callback that comes, one a line."),
}
_STOPPING = (
    "Ctrl-C, SIGTERM or SIGHUP: nothing new is sent, and the command waits at most ten seconds for "
    "the answer to what was sent. A second one leaves at once. The last lines name the paid task, "
    "and the command that continues with it."
)

# rich-click makes a line of each paragraph of an epilog.
_EPILOG = "\n\n".join(
    [_STOPPING, "Exit codes:", *(f"{code.value:<4} {code.meaning}" for code in ExitCode)]
)

# An empty line between paragraphs.
_LOOK = {
    "text_paragraph_linebreaks": "\n\n",
    "padding_helptext_first_line": (0, 0, 1, 0),
    # Nothing here is marked up or an emoji, and what reads such text takes time to load.
    "text_markup": None,
    "text_emojis": False,
}

# With one of these click alone prints, so an OSError can only be about stdout.
_PRINTED_BY_OTHERS = {"-h", "--help", "--version"}


def _show_version(context: click.Context, _option: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        click.echo(version_text())
        context.exit()


@click.group(
    cls=LazyGroup,
    table=_COMMANDS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.rich_config(help_config=_LOOK)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def app() -> None:
    """Kling's video effects: a photograph in, a short clip out.

    The key is read from KLING_API_KEY (a gateway's or Kling's own), or from KLING_ACCESS_KEY and
    KLING_SECRET_KEY (Kling's older pair). KLING_SERVICE names the service. If no key is set there,
    it is read from config.toml in your settings folder: from the table [kling], or from
    [profile.NAME] with --profile NAME. kling-effects auth login keeps a key for you. The file also
    has the defaults of options.
    """


def run_app(arguments: Sequence[str]) -> int:
    """Run one command line; every error becomes lines on stderr and an exit code."""
    try:
        with raised_sigterm():
            # Standalone, click would print errors in its own words, and exit with its own codes.
            app.main(
                list(arguments),
                prog_name="kling-effects",
                standalone_mode=False,
                obj=("kling-effects", *arguments),  # for the line to go on with
            )
    except (Exception, KeyboardInterrupt, SystemExit, Terminated) as error:  # the outermost edge
        if os.environ.get("KLING_EFFECTS_DEBUG"):
            write_err(_traceback_of(error))
        if isinstance(error, OSError) and _PRINTED_BY_OTHERS & set(arguments):
            error = lost_stdout(error)
        code, lines = _end_of(error)
        if "--json" in arguments and code is not ExitCode.DONE:
            write_err(json_line(_error_as_json(code, lines)).decode())
        else:
            for line in lines:
                say(line)
        return code
    return ExitCode.DONE


def _error_as_json(code: int, lines: Sequence[str]) -> dict[str, object]:
    """The end of a command with ``--json``, as its last line on stderr."""
    known = next(each for each in ExitCode if each == code)
    return {"exit_code": code, "error": known.name, "meaning": known.meaning, "messages": lines}


def _traceback_of(error: BaseException) -> str:
    if isinstance(error, Failure):
        return error.traceback()
    import traceback

    return "".join(traceback.format_exception(error))


def _end_of(error: BaseException) -> tuple[int, Sequence[str]]:
    match error:
        case Failure():
            return error.code, error.lines
        case ClickException():
            command = error.ctx.command_path if isinstance(error, UsageError) and error.ctx else ""
            see = f"See: {command or 'kling-effects'} --help"
            return error.exit_code, [f"{error.format_message()} {see}"]
        case Abort() | KeyboardInterrupt():
            return ExitCode.INTERRUPTED, []
        case Terminated():
            return ExitCode.TERMINATED, []
        case SystemExit():  # click's answer to a reader that has left
            return ExitCode.DONE, []
        case NotPrinted():
            if error.has_no_reader:
                return ExitCode.DONE, []
            return ExitCode.NOT_PRINTED, [not_printed(error)]
    return _end_of_fault(error)


def _end_of_fault(error: BaseException) -> tuple[int, Sequence[str]]:
    with loading():
        from kling_effects_async.cli.messages import code_of_fault, sentence

    return code_of_fault(error), [sentence(error)]
