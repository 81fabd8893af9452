"""What is said of the jobs that other accounts have in the same journal; pure."""

from __future__ import annotations

from collections.abc import Iterable

from kling_effects_async import JobState
from kling_effects_async.cli.commands import adopt_command
from kling_effects_async.cli.job_tally import JobTally, counted

__all__ = ["lines_of_others"]


def lines_of_others(
    everything: JobTally,
    ours: str,
    states: Iterable[JobState],
    *,
    journal: str,
    service: str | None = None,
    named: str | None = None,
) -> list[str]:
    """How many unfinished jobs of which other accounts are left alone, and the ways on.

    Args:
        states: where a job stands that is unfinished.
        named: what ``--account`` said.
    """
    whose = f"--account says {ours}" if named else f"the key is of {ours}"
    lines = []
    for name, number in everything.by_account(states).items():
        if name != ours:
            what = counted(number, "unfinished job")
            adopt = adopt_command(name, journal=journal, service=service, to=named)
            lines += [
                f"{what} of the account {name} not touched: {whose}",
                f"if that is the same account under an older key, name it with --account {name}, "
                f"or take its jobs over: {adopt}",
            ]
    return lines
