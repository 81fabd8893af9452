"""The command ``jobs`` and its own ``show``, ``resume``, ``settle`` and ``adopt``: options in.

The work of each is in the file of its name.
"""

from __future__ import annotations

from typing import Any

import rich_click as click

from kling_effects_async.cli.console import print_result
from kling_effects_async.cli.lazy import LazyGroup
from kling_effects_async.cli.options import (
    account,
    as_json,
    file_name,
    journal,
    of_one_account,
    of_the_group,
    resuming,
    text,
)
from kling_effects_async.cli.signals import loading

__all__ = ["STATES", "jobs"]

# ``JobState``'s words, because to import it takes longer than the help.
STATES = (
    "planned",
    "submitting",
    "uncertain",
    "accepted",
    "succeeded",
    "failed",
    "rejected",
    "downloaded",
    "abandoned",
)


@click.group(cls=LazyGroup, table={}, invoke_without_command=True)
@journal
@account
@click.option(
    "--state",
    "states",
    type=click.Choice(STATES),
    metavar="STATE",
    multiple=True,
    help=f"Only jobs in this state; may be repeated. One of {', '.join(STATES)}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
@click.pass_context
def jobs(
    context: click.Context,
    journal: str | None,
    account: str | None,
    states: tuple[str, ...],
    as_json: bool,
) -> None:
    """List the jobs of a journal, and finish them.

    Without a command it lists them, also while another process works on them, and says what they
    cost and which are uncertain. With --account it lists those of that account.
    """
    if context.invoked_subcommand is None:
        with loading():
            from kling_effects_async.cli.jobs.list import list_jobs

        list_jobs(journal, states, account=account, as_json=as_json)
    elif states or as_json:
        raise click.UsageError("--state and --json are for the list: give them after the command.")


@jobs.command()
@click.argument("name", metavar="ID", callback=text("id"))
@of_the_group
@as_json
def show(name: str, journal: str | None, as_json: bool) -> None:
    """Show one job and its history.

    ID is its external id or its task id.
    """
    with loading():
        from kling_effects_async.cli.jobs.show import show_job

    show_job(journal, name, as_json=as_json)


@jobs.command()
@of_the_group
@click.option(
    "--download-to",
    metavar="FOLDER",
    callback=file_name("folder"),
    help="Save the videos there.",
)
@resuming
def resume(as_json: bool, quiet: bool, **options: Any) -> None:
    """Finish all unfinished jobs.

    Planned jobs are submitted, uncertain ones are looked up, and running tasks are waited for.
    Prints a line for each job that is done: its video's path, or its external id if none is saved.
    """
    with loading():
        from kling_effects_async.cli.jobs.resume import resume_jobs
        from kling_effects_async.cli.jobs.resume_summary import ResumeArguments

    resume_jobs(ResumeArguments(as_json=as_json, is_silent=as_json or quiet, **options))


@jobs.command()
@click.argument("name", metavar="ID", callback=text("id"))
@of_the_group
@click.option("--resubmit", "is_to_resubmit", is_flag=True, help="There is no task: submit again.")
@click.option("--abandon", "is_to_abandon", is_flag=True, help="Abandon the job.")
@of_one_account
def settle(name: str, is_to_resubmit: bool, is_to_abandon: bool, **options: Any) -> None:
    """Settle an uncertain job: an answer was lost, and its task may exist and be charged.

    ID is its external id. Without an option its task is looked up now. Prints the state the job is
    in then; what is planned again is submitted by the next: kling-effects jobs resume.
    """
    if is_to_resubmit and is_to_abandon:
        raise click.UsageError("Give either --resubmit or --abandon.")
    with loading():
        from kling_effects_async.cli.jobs.settle import SettleArguments, settle_job

    arguments = SettleArguments(
        name=name, is_to_resubmit=is_to_resubmit, is_to_abandon=is_to_abandon, **options
    )
    state = settle_job(arguments)
    print_result(str(state), else_say=f"{name} is {state} now")


@jobs.command()
@click.argument("from_account", metavar="ACCOUNT", callback=text("name of the account"))
@of_the_group
@of_one_account
def adopt(from_account: str, **options: Any) -> None:
    """Take the jobs of another account over to that of the key.

    For a key that was changed: ACCOUNT is what the journal calls the same account under the old
    key. Tasks are known at their own service only, so do not take over jobs of another one. Prints
    how many jobs there were.
    """
    with loading():
        from kling_effects_async.cli.jobs.adopt import AdoptArguments, adopt_jobs

    arguments = AdoptArguments(from_account=from_account, **options)
    number = adopt_jobs(arguments)
    print_result(str(number), else_say=f"jobs taken over: {number}")
