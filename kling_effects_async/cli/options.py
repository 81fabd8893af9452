"""The options that several commands have, and what may be given as text, number or file name.

Checked while the command line is read, before any file is opened or anything is sent; what fails is
a usage error.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import rich_click as click
from click.core import ParameterSource

from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.service_choice import ServiceChoice
from kling_effects_async.web_address import address_label, address_problem

if TYPE_CHECKING:
    from decimal import Decimal

    from click.shell_completion import CompletionItem

__all__ = [
    "Check",
    "Number",
    "account",
    "as_json",
    "as_json_lines",
    "budget_units",
    "check_output",
    "chosen_profile",
    "file_name",
    "file_names",
    "for_bulk",
    "for_the_doctor",
    "for_waiting",
    "journal",
    "listening",
    "of_one_account",
    "of_the_group",
    "offered",
    "one_profile",
    "profile",
    "profile_of_the_group",
    "resuming",
    "service",
    "service_choice",
    "settings_of_file",
    "some_tasks",
    "text",
    "timeout_s",
]


# Not one letter alone: C:/ is a drive.
_OTHER_ADDRESS = re.compile(r"(?!https?://)[a-z][a-z0-9+.-]+:/", re.IGNORECASE)

# Where a context keeps the value of ``--profile``, for the commands of a group too.
_PROFILE = f"{__name__}.profile"

Check: TypeAlias = Callable[[click.Context, click.Parameter, str | None], str | None]
F = TypeVar("F", bound=Callable[..., Any])


def text(what: str, *, is_address: bool = True) -> Check:
    """A check for words that go to the service or into the journal.

    Args:
        what: what the words are, such as "id".
        is_address: they may be an address.

    Raises:
        BadParameter: they are empty, as an unset variable of a script is, or no UTF-8.
    """

    def check(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
        if given is not None and not given.strip():
            raise click.BadParameter(f"the {what} is empty.")
        if given is not None and not _is_unicode(given):
            raise click.BadParameter(f"the {what} is no text: it has bytes that are not UTF-8.")
        if given is not None and not is_address and "://" in given:
            raise click.BadParameter(f"{address_label(given)!r} is an address, and no {what}.")
        return given

    return check


def offered(name: str) -> Callable[..., list[CompletionItem]]:
    """What a shell offers for a parameter: a function of ``completions``, which no help loads."""

    def complete(
        context: click.Context, option: click.Parameter, word: str
    ) -> list[CompletionItem]:
        from kling_effects_async.cli import completions

        found: list[CompletionItem] = getattr(completions, name)(context, option, word)
        return found

    return complete


def file_name(what: str) -> Check:
    """A check for the name of a file or folder, which need not be text in any encoding.

    Raises:
        BadParameter: it is empty, or has a NUL, which no file system takes.
    """

    def check(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
        if given == "":
            raise click.BadParameter(f"the name of the {what} is empty.")
        if given is not None and "\0" in given:
            raise click.BadParameter(f"the name of the {what} has a NUL in it.")
        return given

    return check


def file_names(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    """The same check for each of several images, which are files or http(s) addresses."""
    for name in given:
        file_name("image")(context, option, name)
        # A signed address without its scheme, else, would be repeated as the name of a file.
        is_address = _OTHER_ADDRESS.match(name) or ("?" in name and not os.path.lexists(name))
        if is_address and address_problem(name) is not None:
            raise click.BadParameter(
                f"{address_label(name)!r} is no file, and no address that begins with http:// or "
                "https://."
            )
    return given


class Number(click.FloatRange):
    """A number in a range; "nan", which compares with nothing, is in none.

    Args:
        may_be_infinite: "inf" is taken too.
    """

    def __init__(
        self, *, min: float, min_open: bool = False, may_be_infinite: bool = False
    ) -> None:
        super().__init__(min=min, min_open=min_open)
        self._may_be_infinite = may_be_infinite

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number) or (math.isinf(number) and not self._may_be_infinite):
            self.fail(f"{value} is no number that can be used here.", param, ctx)
        return number


def _is_unicode(given: str) -> bool:
    try:
        given.encode("utf-8")
    except UnicodeEncodeError:  # half a pair of UTF-16, or a byte that Python could not decode
        return False
    return True


class _Decorator(Protocol):
    def __call__(self, function: F, /) -> F: ...


def _service(context: click.Context, _option: click.Parameter, name: str | None) -> ServiceChoice:
    if name is None:
        return service_choice(context)
    from kling_effects_async.errors import SettingsError
    from kling_effects_async.protocol.services import Service

    try:
        Service.named(name)
    except SettingsError as error:
        why = str(error).rstrip(".")
        # Somebody may have pasted a password or a key into it.
        raise click.BadParameter(f"{address_label(name)!r}: {why}.") from None
    return service_choice(context)._replace(name=name)


def service_choice(context: click.Context) -> ServiceChoice:
    """What the command line names, as far as it was read: the profile."""
    return ServiceChoice(profile=context.meta.get(_PROFILE))


def _note_profile(context: click.Context, option: click.Parameter, name: str | None) -> None:
    if name is not None:
        context.meta[_PROFILE] = text("name of the profile")(context, option, name)


def _profile(context: click.Context, option: click.Parameter, name: str | None) -> None:
    _note_profile(context, option, name)
    if not context.resilient_parsing:
        # click takes the value of an option from the command line, the environment, and then this.
        context.default_map = _SettingsOfFile(context)


class _SettingsOfFile(MutableMapping[str, Any]):
    """What the settings file says of the options; read at the first look, after a help."""

    def __init__(self, context: click.Context) -> None:
        self._context = context

    @cached_property
    def _values(self) -> dict[str, Any]:
        return {**settings_of_file(self._context)}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def settings_of_file(context: click.Context) -> dict[str, str]:
    """What the profile of the settings file says of the options, by their parameters.

    Raises:
        Failure: the file has an error, or there is no such profile.
    """
    from kling_effects_async import cli
    from kling_effects_async.errors import SettingsError

    try:
        return cli.settings_file.option_defaults(os.environ, service_choice(context).profile)
    except SettingsError as error:
        raise Failure(ExitCode.SETTINGS, [str(error)]) from error


def _units(_context: click.Context, _option: click.Parameter, text: str | None) -> Decimal | None:
    if text is None:
        return None
    from decimal import Decimal, InvalidOperation

    try:
        units = Decimal(text)
    except InvalidOperation:
        units = Decimal(-1)  # rejected below, like any number below zero
    if units.is_finite() and units >= 0:
        return units
    raise click.BadParameter(f"{text!r} is no number of units, such as 20 or 7.5.")


def _or_the_groups(check: Check) -> Check:
    """The option's own value, else the group's, else the settings file's."""

    def choose(context: click.Context, option: click.Parameter, given: str | None) -> str | None:
        name = option.name or ""
        of_the_group: str | None = context.parent.params.get(name) if context.parent else None
        is_own = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        return check(context, option, given) if is_own or not of_the_group else of_the_group

    return choose


def listening(*, port: int) -> _Decorator:
    """Where a command listens.

    Args:
        port: by default; a fixed one, so that what was exported is still right after a restart.
    """
    at_port = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        metavar="N",
        default=port,
        help="The port to listen on; 0 takes a free one.",
    )
    at_host = click.option(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        callback=text("address"),  # an empty one would be every address of this machine
        help="The address to listen on.",
    )

    def add(function: F) -> F:
        return at_port(at_host(function))

    return add


as_json: _Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

as_json_lines: _Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, an object a line."
)

_JOURNAL_HELP = "The file that records every job."

journal: _Decorator = click.option(
    "--journal",
    metavar="FILE",
    envvar="KLING_JOURNAL",
    show_envvar=True,
    callback=file_name("file"),
    shell_complete=offered("files"),
    help=_JOURNAL_HELP,
)

# Without the variable, which the group reads: otherwise it would beat the group's own option.
of_the_group: _Decorator = click.option(
    "--journal",
    metavar="FILE",
    callback=_or_the_groups(file_name("file")),
    shell_complete=offered("files"),
    help=f"{_JOURNAL_HELP} By default KLING_JOURNAL.",
)

_ACCOUNT_HELP = "The account's name in the journal; it stays the same when the key is changed."

account: _Decorator = click.option(
    "--account",
    metavar="NAME",
    envvar="KLING_ACCOUNT",
    show_envvar=True,
    callback=text("name of the account"),
    help=_ACCOUNT_HELP,
)

_account_of_the_group = click.option(
    "--account",
    metavar="NAME",
    callback=_or_the_groups(text("name of the account")),
    help=f"{_ACCOUNT_HELP} By default KLING_ACCOUNT.",
)

budget_units: _Decorator = click.option(
    "--budget-units",
    metavar="N",
    envvar="KLING_BUDGET_UNITS",
    show_envvar=True,
    callback=_units,
    help="Submit nothing that could bring the cost of all jobs in the journal above N units.",
)

_quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


def _profile_option(callback: Callable[..., None]) -> _Decorator:
    return click.option(
        "--profile",
        metavar="NAME",
        is_eager=True,  # the other options have their defaults from it
        expose_value=False,
        callback=callback,
        shell_complete=offered("profiles"),
        help="A profile of the settings file, with its key. By default KLING_PROFILE.",
    )


profile: _Decorator = _profile_option(_profile)

# For a command that takes no other setting from the file.
one_profile: _Decorator = _profile_option(_note_profile)


def chosen_profile(context: click.Context) -> str | None:
    """The profile of the command line, else of the environment."""
    return context.meta.get(_PROFILE) or os.environ.get("KLING_PROFILE") or None


# A group only notes it: to read the file would make the help of its commands slow.
profile_of_the_group = one_profile

service: _Decorator = click.option(
    "--service",
    metavar="NAME",
    callback=_service,
    shell_complete=offered("services"),
    help="The service: vapi, singapore, beijing or a gateway's URL. By default KLING_SERVICE.",
)

timeout_s: _Decorator = click.option(
    "--timeout-s",
    type=Number(min=0, min_open=True, may_be_infinite=True),
    metavar="SECONDS",
    # That of PollPolicy, written out: to read it there would load the library for a help.
    default=3600.0,
    show_default=True,
    envvar="KLING_TIMEOUT_S",
    show_envvar=True,
    help="How long to wait for the end of a task.",
)


_output = click.option(
    "-o",
    "--output",
    metavar="FILE",
    envvar="KLING_OUTPUT",
    show_envvar=True,
    callback=file_name("output"),
    shell_complete=offered("files"),
    help="The file or folder for the video, or - for stdout. By default a new file in the working "
    "folder.",
)


def _together(options: Sequence[Callable[[Any], Any]]) -> Callable[[F], F]:
    def add(command: F) -> F:
        # A decorator that is applied last stands first in the help.
        for option in reversed(options):
            command = option(command)
        return command

    return add


def check_output(output: str | None, *, as_json: bool) -> None:
    """Reject a clip on stdout that would meet something else there.

    Raises:
        UsageError: it is a terminal, or has the JSON.
    """
    if output != "-":
        return
    if as_json:
        raise click.UsageError("-o - and --json both write to stdout: leave one out.")
    if sys.stdout is None or sys.stdout.isatty():
        raise click.UsageError("A clip is nothing for a terminal: send stdout to a file or a pipe.")


# The options of a command that waits for a task and saves its video.
for_waiting: _Decorator = _together(
    (
        _output,
        click.option("--overwrite", is_flag=True, help="Replace the output file if it exists."),
        service,
        profile,
        timeout_s,
        as_json,
        _quiet,
    )
)

# The options of ``bulk`` that it shares with ``run``; its output is a folder, and needed.
for_bulk: _Decorator = _together(
    (
        click.option(
            "-o",
            "--output",
            metavar="FOLDER",
            envvar="KLING_OUTPUT",
            show_envvar=True,
            required=True,
            callback=file_name("folder"),
            help="The folder for the clips; it is made if need be.",
        ),
        service,
        profile,
        timeout_s,
        as_json_lines,
        _quiet,
    )
)

# The options of ``jobs resume`` besides the journal.
resuming: _Decorator = _together(
    (budget_units, service, profile, _account_of_the_group, timeout_s, as_json_lines, _quiet)
)

of_one_account: _Decorator = _together((service, profile, _account_of_the_group))

# What a run takes, for looking at it.
for_the_doctor: _Decorator = _together(
    (service, profile, account, journal, budget_units, _output, timeout_s)
)


def _each(check: Check) -> Callable[..., tuple[str, ...]]:
    """The check for each of several values."""

    def check_all(
        context: click.Context, option: click.Parameter, given: tuple[str, ...]
    ) -> tuple[str, ...]:
        for value in given:
            check(context, option, value)
        return given

    return check_all


# Which tasks a command is about; one at least.
some_tasks: _Decorator = _together(
    (
        click.argument(
            "task_ids",
            nargs=-1,
            metavar="[TASK_ID]...",
            callback=_each(text("id", is_address=False)),
            shell_complete=offered("task_ids"),
        ),
        click.option(
            "--external-task-id",
            "external_task_ids",
            metavar="ID",
            multiple=True,
            callback=_each(text("id")),
            shell_complete=offered("job_ids"),
            help="The id that a task was submitted with; may be repeated.",
        ),
    )
)
