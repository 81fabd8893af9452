"""Which scripts are run: all of one job, random ones beyond, and smaller ones that still fail."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from random import Random

from attrs import evolve, frozen

from tests.simulation.clips import CLIP_FAULTS
from tests.simulation.script import FALSE_REJECTIONS, Event, Rules, Script
from tests.simulation.wire import QUERY_FAULTS, SUBMIT_FAULTS

__all__ = [
    "Family",
    "families",
    "few_families",
    "quick_families",
    "random_script",
    "real_families",
    "simpler",
]

_LOST = ("after: lost", "before: lost")
# Read as another one of the list, whatever the service's rules; so under some of them alone.
_READ_ALIKE = ("before: 429", "before: 502", "after: 502", "before: 5000", "after: no task")
_CANCELS = ("cancel", "cancel twice", "call again", "call again after two", "close")
_RESTARTS_S = (0.0, 0.0, 1.0, 30.0, 700.0)


@frozen
class Family:
    """A script, and each of its crash points or steps.

    Attributes:
        kinds: what happens at each of them: ``die`` at each point, the others at each step.
    """

    script: Script
    kinds: tuple[str, ...] = ("die",)


def families() -> Iterator[Family]:
    """Every crash point of one job, under all rules and faults; and every step of a few."""
    return (family for family in _families() if family.script.is_fair)


def _families() -> Iterator[Family]:
    yield from quick_families()
    yield from _clip_families()
    for rules in _all_rules():
        for fault in _submit_faults(rules):
            if fault not in _READ_ALIKE:
                yield Family(Script(rules=rules, submits=(fault,)))
    for rules, fault in product(_some_rules(), _READ_ALIKE):
        yield Family(Script(rules=rules, submits=(fault,)))
    for rules, lost, query in product(_some_rules(), _LOST, QUERY_FAULTS[1:]):
        for queries in ((query,), ("", query), ("unknown", query)):
            yield Family(Script(rules=rules, submits=(lost,), queries=queries))
    for rules, fault in product(_some_rules(), ("", *_LOST, "before: 1303", "after: too late")):
        yield Family(Script(rules=rules, submits=(fault,)), _CANCELS)


def _clip_families() -> Iterator[Family]:
    for fault in CLIP_FAULTS:
        yield Family(Script(downloads=(fault,)))
        if fault != "another":  # what has its name already is no longer what the service has
            yield Family(Script(downloads=(fault,), is_named=True, jobs=2))
        yield Family(Script(downloads=("cut", fault), restart_s=1.0))
    for fault in ("", "cut", "another"):
        # Signatures are old by then.
        yield Family(Script(downloads=("cut", fault), restart_s=700.0))
        yield Family(Script(downloads=(fault,)), _CANCELS)
    for used, lost in product((True, False), _LOST):
        rules = Rules(accepts_used_ids=used)
        yield Family(Script(rules=rules, submits=(lost,), downloads=("cut",)))


def quick_families() -> Iterator[Family]:
    """The most telling ones."""
    for downloads in (("cut", "another"), ("ends early",), ()):
        yield Family(Script(downloads=downloads))
    for used, late, lookups in product((True, False), (True, False), ("work", "none")):
        rules = Rules(accepts_used_ids=used, accepts_late=late, lookups=lookups)
        for fault in ("", *_LOST, "after: 500", "after: too late", "before: 1303"):
            yield Family(Script(rules=rules, submits=(fault,)))
            if not late:
                yield Family(Script(rules=rules, submits=(fault, fault), restart_s=1.0))
    for used in (True, False):
        rules = Rules(accepts_used_ids=used)
        for fault in ("", *_LOST, "before: 1303"):
            yield Family(Script(rules=rules, submits=(fault,), resumes_only=True))
        yield Family(Script(rules=rules), _CANCELS)
        yield Family(Script(rules=rules, jobs=3, own_slots=1), ("call again",))
        yield Family(Script(rules=rules, submits=("after: lost",)), _CANCELS)
        yield Family(Script(rules=rules, submits=("after: too late",)), _CANCELS)
    for fault in ("", *_LOST, *FALSE_REJECTIONS):
        rules = Rules(accepts_used_ids=False, is_late_replica=True, very_late=True)
        yield Family(Script(rules=rules, submits=(fault,)))
    yield Family(Script(downloads=("cut",), is_named=True, jobs=2))


def _all_rules() -> Iterator[Rules]:
    for used, late, lists, has_known in product(
        (True, False), (True, False), ("none", "work", "lag"), (True, False)
    ):
        # A list that is right shows at once what is late elsewhere, and one that lags proves no
        # absence, whatever is known.
        if (lists == "work" and late) or (lists == "lag" and not has_known):
            continue
        rules = Rules(accepts_used_ids=used, accepts_late=late, lists=lists, has_known=has_known)
        yield evolve(rules, lookups="empty")
        # All forms where nothing else is odd; otherwise an error, and a 200 without a task.
        for form in range(4) if not late and lists == "none" else (0, 3):
            yield evolve(rules, lookups="none", unknown=form)
            yield evolve(rules, unknown=form)
            if not late:  # two things that are late may be later than both lookups
                yield evolve(rules, unknown=form, is_late_replica=True)
        if not used:
            yield evolve(rules, is_late_replica=not late, very_late=True)


def _submit_faults(rules: Rules) -> tuple[str, ...]:
    return SUBMIT_FAULTS if rules.accepts_used_ids else (*SUBMIT_FAULTS, *FALSE_REJECTIONS)


def _some_rules() -> Iterator[Rules]:
    for used, lookups, lists in product((True, False), ("work", "none"), ("none", "work")):
        yield Rules(accepts_used_ids=used, lookups=lookups, lists=lists)


def random_script(seed: int) -> Script:
    """Up to eight jobs and three deaths."""
    random = Random(seed)
    jobs = random.choice((1, 1, 2, 2, 3, 4, 6, 8))
    is_late = random.random() < 0.3
    rules = Rules(
        accepts_used_ids=random.random() < 0.6,
        lookups=random.choice(("work", "work", "work", "none", "empty")),
        unknown=random.randrange(4),
        accepts_late=is_late,
        is_late_replica=not is_late and random.random() < 0.3,
        very_late=random.random() < 0.5,
        lists=random.choice(("none", "work", "lag")),
        has_known=random.random() < 0.8,
        slots=random.choice((0, 0, 1, 3)),
        fails=random.random() < 0.1,
        reports_units=random.random() < 0.8,
        budget_units=random.choice((0, 0, 8, 12)),
    )
    script = Script(
        rules=rules,
        jobs=jobs,
        own_slots=random.choice((1, 2, 2)),
        submits=_drawn(random, _submit_faults(rules), 2 * jobs, 0.4),
        queries=_drawn(random, QUERY_FAULTS, 6 * jobs, 0.3),
        downloads=_drawn(random, CLIP_FAULTS, 3 * jobs, 0.4) if random.random() < 0.2 else None,
        events=tuple(_drawn_event(random, jobs) for _ in range(random.randint(1, 3))),
        resumes_only=random.random() < 0.3,
        restart_s=random.choice(_RESTARTS_S),
        seed=seed,
    )
    # By the seed, so that what else is drawn stays as it was. A file that has its name already is
    # no longer what a service has that encodes it anew.
    is_named = bool(script.downloads is not None and seed % 2 and "another" not in script.downloads)
    script = evolve(script, is_named=is_named)
    if script.is_fair:
        return script
    return evolve(script, queries=tuple(q if q != "unknown" else "" for q in script.queries))


def _drawn(random: Random, faults: tuple[str, ...], most: int, share: float) -> tuple[str, ...]:
    number = random.randint(0, most)
    return tuple(random.choice(faults) if random.random() < share else "" for _ in range(number))


def _drawn_event(random: Random, jobs: int) -> Event:
    if random.random() < 0.75:
        return Event("die", random.randint(1, 25 * jobs))
    return Event(random.choice(_CANCELS), random.randint(1, 120 * jobs))


def simpler(script: Script) -> Iterator[Script]:
    """Scripts with one thing less, the greatest simplification first."""
    if script.seed:
        yield evolve(script, seed=0)
    for number in range(1, script.jobs):
        yield evolve(script, jobs=number)
    if script.own_slots != 2:
        yield evolve(script, own_slots=2)
    for number in range(len(script.events)):
        yield evolve(script, events=(*script.events[:number], *script.events[number + 1 :]))
    for submits in _fewer(script.submits):
        yield evolve(script, submits=submits)
    for queries in _fewer(script.queries):
        yield evolve(script, queries=queries)
    if script.downloads is not None:
        yield evolve(script, downloads=None, is_named=False)
        if script.is_named:
            yield evolve(script, is_named=False)
        for downloads in _fewer(script.downloads):
            yield evolve(script, downloads=downloads)
    if script.resumes_only:
        yield evolve(script, resumes_only=False)
    if script.restart_s:
        yield evolve(script, restart_s=0.0)
    usual = Rules()
    for name in (field.name for field in Rules.__attrs_attrs__):
        if getattr(script.rules, name) != getattr(usual, name):
            yield evolve(script, rules=evolve(script.rules, **{name: getattr(usual, name)}))
    for number, event in enumerate(script.events):
        if event.at > 1:
            fewer = evolve(event, at=event.at - 1)
            yield evolve(
                script, events=(*script.events[:number], fewer, *script.events[number + 1 :])
            )


def _fewer(faults: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if faults:
        yield faults[:-1]
    for number, fault in enumerate(faults):
        if fault:
            yield (*faults[:number], "", *faults[number + 1 :])


def few_families() -> Iterator[Family]:
    """Some of the most telling ones, for the suite."""
    return islice(quick_families(), 0, None, 13)


def real_families() -> Iterator[Family]:
    """With SQLite's file: every crash point of one job under the rules that matter most."""
    for used, lookups in product((True, False), ("work", "none")):
        rules = Rules(accepts_used_ids=used, lookups=lookups)
        for fault in ("", *_LOST):
            yield Family(Script(rules=rules, submits=(fault,), is_real=True))
    late = Rules(accepts_used_ids=False, is_late_replica=True, very_late=True)
    for fault in FALSE_REJECTIONS:
        yield Family(Script(rules=late, submits=(fault,), is_real=True))
    for reports_units in (True, False):
        rules = Rules(budget_units=3, reports_units=reports_units)
        yield Family(Script(rules=rules, jobs=2, is_real=True))
