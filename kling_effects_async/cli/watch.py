"""``kling-effects watch``: a line for each change of tasks, until all have ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import NotPrinted, print_json_lines, print_lines, say
from kling_effects_async.cli.failures import ExitCode, Failure, without_secrets
from kling_effects_async.cli.options import as_json_lines, profile, service, some_tasks, timeout_s
from kling_effects_async.cli.signals import loaded

if TYPE_CHECKING:
    from kling_effects_async import EffectTask, Settings
    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["watch"]

_EXAMPLES = ("kling-effects watch 885249522583309721 885249522583309722",)


@click.command(cls=Command, examples=_EXAMPLES)
@some_tasks
@service
@profile
@timeout_s
@as_json_lines
def watch(
    task_ids: tuple[str, ...],
    external_task_ids: tuple[str, ...],
    service: ServiceChoice,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Print a line for each change of tasks, until all have ended.

    Each TASK_ID is an id that the service gave a task. All are polled together, which costs
    nothing. The exit code is 0 if all succeeded. No clip is saved; see: kling-effects fetch.
    """
    if not task_ids and not external_task_ids:
        raise click.UsageError("Give a TASK_ID or --external-task-id.")
    loaded("kling_effects_async.client")
    secrets: list[str] = []
    with cli.messages.errors_as_failures(secrets):
        settings = cli.settings_file.needed_settings(service)
        secrets += cli.settings_file.secrets_of(settings.credentials)
        watching = Watching(as_json=as_json, secrets=secrets)
        everything = watching.all_of(settings, task_ids, external_task_ids, timeout_s)
        cli.runner.run_free(everything, said="stopped; the tasks go on")
    if watching.codes:
        one = len(watching.codes) == 1
        raise Failure(next(iter(watching.codes)) if one else ExitCode.TASK_FAILED, [])


class Watching:
    """Prints what changes.

    Attributes:
        codes: what each task that did not succeed would have ended a command with.
    """

    def __init__(self, *, as_json: bool, secrets: Sequence[str]) -> None:
        self.codes: set[ExitCode] = set()
        self._as_json = as_json
        self._secrets = secrets

    async def all_of(
        self,
        settings: Settings,
        task_ids: Sequence[str],
        external_task_ids: Sequence[str],
        timeout_s: float,
    ) -> None:
        import asyncio  # not for a help

        poll = kling.PollPolicy(deadline_s=timeout_s)
        async with cli.settings_file.client_of(settings, poll=poll) as client:
            tasks = {name: client.attach(name) for name in task_ids}
            tasks |= {name: client.attach(external_task_id=name) for name in external_task_ids}
            try:
                async with asyncio.TaskGroup() as group:
                    for name, task in tasks.items():
                        group.create_task(self._one(name, task))
            except* NotPrinted as lost:
                raise lost.exceptions[0] from None

    async def _one(self, name: str, task: EffectTask) -> None:
        try:
            async for snapshot in task:
                if self._as_json:
                    print_json_lines([cli.task_text.task_as_json(snapshot)])
                else:
                    print_lines([cli.task_text.change_of(snapshot)])
            await task
        except kling.TaskFailedError:  # its line has been printed
            self.codes.add(ExitCode.TASK_FAILED)
        except kling.KlingEffectsError as error:
            self.codes.add(cli.messages.exit_code_of(error))
            sentence = cli.messages.sentence(error, task=name)
            say(without_secrets(f"{name}: {sentence}", self._secrets))
