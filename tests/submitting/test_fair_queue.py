"""Who gets the next slot where several shares wait."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.policy import SharePolicy
from kling_effects_async.submitting.fair_queue import FairQueue


class Account:
    """A queue with slots, and the shares that were given them."""

    def __init__(self, slots: int, policy: SharePolicy | None = None) -> None:
        self.slots = slots
        self.queue: FairQueue[str] = FairQueue(policy or SharePolicy())
        self.owners: dict[str, str] = {}
        self.running: list[tuple[str, int]] = []  # the oldest first
        self.served: list[str] = []

    def submit(self, share: str, number: int = 1, *, is_next: bool = False) -> list[str]:
        tickets = [f"{share}{len(self.owners) + place}" for place in range(number)]
        for ticket in tickets:
            self.owners[ticket] = share
            self.queue.enqueue(ticket, share, is_next=is_next)
        self.serve()
        return tickets

    def serve(self) -> None:
        while self.queue.held < self.slots and (ticket := self.queue.first()) is not None:
            self.running.append((self.owners[ticket], self.queue.next()))
            self.served.append(ticket)

    def end(self, place: int = 0) -> None:
        _share, hold = self.running.pop(place)
        self.queue.release(hold)
        self.serve()

    def end_of(self, share: str) -> None:
        self.end([owner for owner, _hold in self.running].index(share))

    def holding(self, share: str) -> int:
        return sum(owner == share for owner, _hold in self.running)

    @property
    def shares_served(self) -> str:
        return "".join(self.owners[ticket] for ticket in self.served)

    def run_out(self) -> None:
        """End tasks, the oldest first, until nobody waits."""
        while len(self.queue):
            self.end()


def test_within_a_share_the_first_to_come_is_the_first_served() -> None:
    account = Account(1)
    tickets = account.submit("A", 5)
    account.run_out()
    assert account.served == tickets


def test_a_newcomer_gets_the_next_slot_where_another_holds_all() -> None:
    account = Account(4)
    account.submit("A", 44)
    account.submit("B")
    account.end()
    assert account.shares_served == "AAAAB"


def test_with_one_slot_a_newcomer_waits_for_one_task_alone() -> None:
    account = Account(1)
    account.submit("A", 40)
    account.submit("B")
    account.end()
    assert account.shares_served == "AB"


def test_shares_come_to_hold_the_same() -> None:
    account = Account(4)
    account.submit("A", 40)
    account.submit("B", 40)
    account.end()
    account.end()
    assert (account.holding("A"), account.holding("B")) == (2, 2)
    account.end_of("B")
    assert (account.holding("A"), account.holding("B")) == (2, 2)


def test_with_one_slot_the_shares_take_turns() -> None:
    account = Account(1)
    for share in "ABC":
        account.submit(share, 3)
    account.run_out()
    assert account.shares_served == "ABCABCABC"


def test_of_shares_that_hold_as_many_the_last_to_get_a_slot_is_the_last() -> None:
    account = Account(3)
    account.submit("X", 2)
    account.submit("C")
    account.submit("A", 2)
    account.submit("C")
    account.end_of("X")  # A, which holds none
    account.end_of("X")  # A and C hold one each
    assert account.shares_served == "XXCAC"


def test_a_share_of_weight_three_gets_three_turns_where_another_gets_one() -> None:
    account = Account(1, SharePolicy(weights={"V": 3}))
    account.submit("V", 12)
    account.submit("A", 12)
    for _ in range(11):
        account.end()
    assert account.shares_served == "VVVA" * 3


def test_a_share_of_weight_three_holds_three_where_another_holds_one() -> None:
    account = Account(8, SharePolicy(weights={"V": 3}))
    account.submit("A", 80)
    account.submit("V", 80)
    for _ in range(8):
        account.end()
    assert (account.holding("V"), account.holding("A")) == (6, 2)


def test_a_share_at_its_maximum_waits_and_keeps_no_other_waiting() -> None:
    account = Account(4, SharePolicy(max_per_share=2))
    account.submit("A", 40)
    account.submit("B")
    assert account.shares_served == "AAB"
    account.end_of("A")
    assert account.shares_served == "AABA"


def test_whoever_comes_back_is_the_next_of_its_share() -> None:
    account = Account(1)
    account.submit("A", 3)
    account.submit("B", 3)
    (back,) = account.submit("A", is_next=True)
    account.end()
    account.end()
    assert account.shares_served == "ABA"
    assert account.served[-1] == back


def test_many_who_come_back_stand_before_their_own_share_alone() -> None:
    """As where an account has fewer slots than were assumed."""
    account = Account(1)
    account.submit("A")
    account.submit("A", 20, is_next=True)
    account.submit("B")
    account.end()
    assert account.shares_served == "AB"


def test_whoever_comes_back_uses_up_no_second_slot_of_the_turn() -> None:
    account = Account(1, SharePolicy(weights={"V": 2}))
    account.submit("V", 3)
    account.submit("A")
    account.submit("V", is_next=True)  # the first of V, rejected
    account.end()
    account.end()
    assert account.shares_served == "VVV"


def test_several_who_come_back_keep_their_order() -> None:
    account = Account(1)
    account.submit("A", 3)
    back = account.submit("A", 2, is_next=True)
    account.end()
    account.end()
    assert account.served[1:] == back


def test_a_share_at_its_maximum_is_not_passed_by_one_who_comes_back() -> None:
    account = Account(3, SharePolicy(max_per_share=1))
    account.submit("A")
    account.submit("A", is_next=True)
    account.submit("B")
    assert account.shares_served == "AB"


def test_a_stream_of_new_shares_does_not_starve_one_that_waits() -> None:
    account = Account(1)
    account.submit("A", 5)
    for number in range(20):
        account.submit(f"new-{number}-")
        account.end()
    assert sum(ticket.startswith("A") for ticket in account.served) == 5


def test_slots_that_are_held_already_count_for_their_share() -> None:
    account = Account(3)
    account.running = [("A", account.queue.hold("A")), ("B", account.queue.hold("B"))]
    account.running.append(("A", account.queue.hold("A")))
    account.submit("A", 2)
    account.submit("B", 2)
    account.end_of("A")  # one each now, and A has just had one
    account.end_of("A")
    assert account.shares_served == "BA"


def test_a_queue_that_nobody_uses_any_more_is_empty() -> None:
    account = Account(2)
    account.submit("A", 5)
    (gone,) = account.submit("B")
    account.queue.remove(gone)
    account.queue.remove(gone)
    account.run_out()
    assert account.queue.waiting_by_share() == {}
    while account.running:
        account.end()
    assert account.queue.held == 0
    with pytest.raises(LookupError):
        account.queue.next()


def test_the_waiting_are_counted_by_share() -> None:
    account = Account(1)
    account.submit("A", 3)
    account.submit("B", 2, is_next=True)
    assert account.queue.waiting_by_share() == {"A": 2, "B": 2}
    assert len(account.queue) == 4


def test_a_position_counts_the_slots_until_ones_own() -> None:
    account = Account(2)
    a = account.submit("A", 5)
    (b,) = account.submit("B")
    positions = [account.queue.position_of(t, slots=2) for t in (b, a[2], a[3], a[4], a[0])]
    assert positions == [1, 2, 3, 4, None]


def test_a_position_is_that_of_this_moment() -> None:
    account = Account(1)
    *_, last = account.submit("A", 4)
    assert account.queue.position_of(last, slots=1) == 3
    account.submit("B")
    assert account.queue.position_of(last, slots=1) == 4
    account.end()
    assert account.queue.position_of(last, slots=1) == 3


def test_a_hundred_thousand_may_wait() -> None:
    account = Account(100)
    shares = [f"user-{number % 20_000}-" for number in range(100_000)]
    for share in shares:
        account.submit(share)
    assert account.queue.position_of(account.served[0], slots=100) is None
    gone = list(account.queue)[::2]
    for ticket in gone:
        account.queue.remove(ticket)
    account.run_out()
    assert len(account.served) == 100_000 - len(gone)


SHARES = "ABCD"
POLICIES = st.builds(
    SharePolicy,
    weights=st.dictionaries(st.sampled_from(SHARES), st.integers(1, 4)),
    max_per_share=st.none() | st.integers(1, 4),
)
ACTS = st.tuples(
    st.sampled_from(["submit", "back", "end", "cancel", "hold", "size"]),
    st.sampled_from(SHARES),
    st.integers(0, 20),
)


def act(account: Account, name: str, share: str, pick: int) -> None:
    if name in ("submit", "back"):
        account.submit(share, is_next=name == "back")
    elif name == "end" and account.running:
        account.end(pick % len(account.running))
    elif name == "cancel" and len(account.queue):
        account.queue.remove(sorted(account.queue)[pick % len(account.queue)])
    elif name == "hold":  # a task of an earlier process, whatever the share may hold
        account.running.append((share, account.queue.hold(share)))
    elif name == "size":
        account.slots = 1 + pick % 5
        account.serve()


@given(st.integers(1, 5), POLICIES, st.lists(ACTS, max_size=60))
def test_no_share_starves_is_blocked_or_has_more_than_its_most(
    slots: int, policy: SharePolicy, acts: list[tuple[str, str, int]]
) -> None:
    account = Account(slots, policy)
    most = policy.max_per_share or 10**6
    for name, share, pick in acts:
        before = {each: account.holding(each) for each in SHARES}
        act(account, name, share, pick)
        for each in SHARES:
            may_have = max(most, before[each] + (name == "hold" and each == share))
            assert account.holding(each) <= may_have
        waiting = account.queue.waiting_by_share()
        # Nobody waits who could have a slot.
        if account.queue.held < account.slots:
            assert all(account.holding(each) >= most for each in waiting)
    # Whoever waits now is served, though a new share comes before each end.
    waiting_now = set(account.queue)
    bound = 4 * (len(waiting_now) + len(account.running) + 4) * 4
    for number in range(bound):
        account.submit(f"new-{number}-")
        account.end()
    assert waiting_now <= set(account.served)


@given(st.integers(1, 5), POLICIES, st.lists(ACTS, max_size=40))
def test_positions_come_true_where_tasks_end_in_the_order_they_began(
    slots: int, policy: SharePolicy, acts: list[tuple[str, str, int]]
) -> None:
    account = Account(slots, policy)
    for each in acts:
        act(account, *each)
    # In the order of the holds, which is that of their numbers.
    account.running.sort(key=lambda held: held[1])
    places = {
        ticket: account.queue.position_of(ticket, slots=account.slots) for ticket in account.queue
    }
    served_before = len(account.served)
    account.run_out()
    served = account.served[served_before:]
    assert places == {ticket: place for place, ticket in enumerate(served, 1)}


@given(POLICIES, st.lists(ACTS, max_size=40))
def test_within_a_share_order_is_kept_whatever_others_do(
    policy: SharePolicy, acts: list[tuple[str, str, int]]
) -> None:
    account = Account(2, policy)
    for name, share, pick in acts:
        if name != "back":
            act(account, name, share, pick)
    account.run_out()
    number_of = [(account.owners[t], int(t[1:])) for t in account.served]
    for _share, pairs in groupby(sorted(number_of, key=lambda pair: pair[0]), lambda p: p[0]):
        numbers = [number for _, number in pairs]
        assert numbers == sorted(numbers)
