"""``python -m tests.crash``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import Random

from tests.crash.damage import damage
from tests.crash.disks import can_mount
from tests.crash.incidents import INCIDENTS
from tests.crash.kills import crash
from tests.crash.service import RULES


def main() -> int:
    given = _arguments()
    seed = Random().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}")
    return _damage(given, seed) if given.damage else _crash(given, seed)


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m tests.crash")
    options.add_argument("--seed", type=int, default=None)
    kills = options.add_argument_group("kills alone")
    kills.add_argument("--kills", type=int, default=20, help="for each rule")
    kills.add_argument("--rule", choices=RULES, help="all of them if not given")
    kills.add_argument("--on-uncertain", default="raise", choices=["raise", "resubmit"])
    damages = options.add_argument_group("damage after kills")
    damages.add_argument("--damage", action="store_true")
    damages.add_argument("--rounds", type=int, default=60)
    damages.add_argument("--incident", choices=INCIDENTS, help="all of them if not given")
    return options.parse_args()


def _crash(given: argparse.Namespace, seed: int) -> int:
    tallies = []
    for rule in [RULES[given.rule]] if given.rule else RULES.values():
        with tempfile.TemporaryDirectory() as folder:
            tally = crash(
                rule,
                Path(folder),
                kills=given.kills,
                seed=seed,
                on_uncertain=given.on_uncertain,
            )
        tallies.append(tally)
    for tally in tallies:
        print(f"{tally}\n  left by the kills: {tally.coverage()}")
    return 0 if all(tally.is_right for tally in tallies) else 1


def _damage(given: argparse.Namespace, seed: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        incidents = [given.incident] if given.incident else list(INCIDENTS)
        if "small-disk" in incidents and not can_mount(folder):
            print("small-disk is skipped: this system lets no process mount a file system")
            incidents.remove("small-disk")
        tally = damage(folder, rounds=given.rounds, seed=seed, incidents=incidents)
    print(f"told, by incident:\n{tally.told()}\n{tally}")
    return 0 if tally.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
