"""``python -m tests.crash``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import Random

from tests.crash.kills import crash
from tests.crash.service import RULES


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.crash")
    options.add_argument("--kills", type=int, default=20, help="for each rule")
    options.add_argument("--seed", type=int, default=None)
    options.add_argument("--rule", choices=RULES, help="all of them if not given")
    options.add_argument("--on-uncertain", default="raise", choices=["raise", "resubmit"])
    given = options.parse_args()
    seed = Random().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}")
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


if __name__ == "__main__":
    sys.exit(main())
