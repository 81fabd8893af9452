"""The command ``jobs`` and its own ``show``, ``resume``, ``settle`` and ``adopt``: options in."""

from __future__ import annotations

from typing import Any

import rich_click as click

from kling_effects_async.cli.given_text import file_name, text
from kling_effects_async.cli.in_order import InOrder
from kling_effects_async.cli.loading import loading
from kling_effects_async.cli.options import (
    account,
    as_json,
    journal,
    of_one_account,
    of_the_group,
    resuming,
)
from kling_effects_async.cli.output import print_result

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


@click.group(cls=InOrder, invoke_without_command=True)
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

    Alone it lists them, also while another process works on them, and says what they cost and
    what is in doubt. With --account it lists those of that account.
    """
    if context.invoked_subcommand is None:
        with loading():
            from kling_effects_async.cli.list_jobs import list_jobs

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
        from kling_effects_async.cli.show_job import show_job

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

    What was only planned is submitted, what is in doubt is looked up, tasks are waited for. Prints
    a line for each job that is done: its video's path, or its external id if none is saved.
    """
    with loading():
        from kling_effects_async.cli.resume_jobs import resume_jobs
        from kling_effects_async.cli.resumption import Wanted

    resume_jobs(Wanted(as_json=as_json, is_silent=as_json or quiet, **options))


@jobs.command()
@click.argument("name", metavar="ID", callback=text("id"))
@of_the_group
@click.option("--resubmit", "is_to_resubmit", is_flag=True, help="There is no task: submit again.")
@click.option("--abandon", "is_to_abandon", is_flag=True, help="Give the job up.")
@of_one_account
def settle(name: str, is_to_resubmit: bool, is_to_abandon: bool, **options: Any) -> None:
    """Settle a job in doubt: an answer was lost, and its task may exist and be charged.

    ID is its external id. Without an option its task is looked up now. Prints the state the job is
    in then; what is planned again is submitted by the next: kling-effects jobs resume.
    """
    if is_to_resubmit and is_to_abandon:
        raise click.UsageError("Give either --resubmit or --abandon.")
    with loading():
        from kling_effects_async.cli.settle_job import Decision, settle_job

    decision = Decision(
        name=name, is_to_resubmit=is_to_resubmit, is_to_abandon=is_to_abandon, **options
    )
    state = settle_job(decision)
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
        from kling_effects_async.cli.adopt_jobs import Adoption, adopt_jobs

    adoption = Adoption(from_account=from_account, **options)
    number = adopt_jobs(adoption)
    print_result(str(number), else_say=f"jobs taken over: {number}")
