"""Which of many planned jobs is drawn next."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.policy import SharePolicy
from kling_effects_async.submitting.draw_order import Draw, DrawOrder


def order_of(policy: SharePolicy | None = None, **jobs: int) -> DrawOrder:
    """So many jobs of each share, numbered from 1 in the order they were added."""
    left = {name: array("q", range(number, 0, -1)) for name, number in jobs.items()}
    return DrawOrder(policy or SharePolicy(), left)


def drawn(order: DrawOrder, most: int = 100) -> list[Draw]:
    """The next jobs, until some of them have to be given back."""
    draws: list[Draw] = []
    while len(draws) < most and (draw := order.draw()) is not None:
        draws.append(draw)
    return draws


def shares_of(draws: list[Draw]) -> str:
    return "".join(draw.share for draw in draws)


def test_shares_are_drawn_from_in_turn() -> None:
    order = order_of(A=40, B=2, C=1)
    assert shares_of(drawn(order, 8)) == "ABCABAAA"


def test_of_a_share_the_oldest_job_is_drawn_first() -> None:
    draws = drawn(order_of(A=3, B=2))
    assert [draw.number for draw in draws if draw.share == "A"] == [1, 2, 3]
    assert [draw.number for draw in draws if draw.share == "B"] == [1, 2]


def test_the_share_that_has_the_fewest_drawn_comes_next() -> None:
    order = order_of(A=40, B=40)
    draws = drawn(order, 6)
    for draw in draws:
        if draw.share == "B":
            order.give_back(draw)
    assert shares_of(drawn(order, 3)) == "BBB"


def test_a_share_of_which_nothing_is_drawn_any_more_waits_behind_those_before_it() -> None:
    order = order_of(A=40, B=40, C=40, D=40)
    for expected in "ABCDABCD":
        draw = order.draw()
        assert draw is not None
        assert draw.share == expected
        order.give_back(draw)


def test_a_share_of_a_higher_weight_has_more_drawn() -> None:
    order = order_of(SharePolicy(weights={"V": 3}), V=40, A=40)
    assert shares_of(drawn(order, 8)) == "VVVAVVVA"


def test_the_weight_counts_among_shares_that_wait_for_their_first_job() -> None:
    order = order_of(SharePolicy(weights={"V": 3}), V=9, **dict.fromkeys("ABCDE", 1))
    assert shares_of(drawn(order, 4)) == "VVVA"


def test_of_a_share_with_a_maximum_twice_as_many_are_drawn() -> None:
    order = order_of(SharePolicy(max_per_share=1), A=40, B=1)
    draws = drawn(order)
    assert shares_of(draws) == "ABA"
    assert not order.is_empty
    order.give_back(draws[0])
    assert shares_of(drawn(order)) == "A"


def test_what_is_drawn_and_given_back_is_not_drawn_again() -> None:
    order = order_of(A=2)
    (draw,) = drawn(order, 1)
    order.give_back(draw)
    assert [draw.number for draw in drawn(order)] == [2]
    assert order.is_empty


def test_nothing_is_drawn_where_nothing_is_left() -> None:
    assert drawn(order_of()) == []


@given(
    jobs=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    weights=st.lists(st.integers(1, 3), min_size=8, max_size=8),
    most=st.none() | st.integers(1, 3),
    room=st.integers(1, 6),
    ends=st.lists(st.integers(0, 99), min_size=60, max_size=60),
)
def test_every_job_is_drawn_once_and_no_share_waits_for_all_of_another(
    jobs: list[int], weights: list[int], most: int | None, room: int, ends: list[int]
) -> None:
    names = "ABCDEFGH"[: len(jobs)]
    policy = SharePolicy(weights=dict(zip("ABCDEFGH", weights, strict=True)), max_per_share=most)
    order = order_of(policy, **dict(zip(names, jobs, strict=True)))
    running: list[Draw] = []
    seen: list[Draw] = []
    for end in ends:
        found = drawn(order, room - len(running))
        running += found
        seen += found
        if running:
            order.give_back(running.pop(end % len(running)))
    assert len({(draw.share, draw.number) for draw in seen}) == len(seen) == sum(jobs)
    firsts = [[draw.share for draw in seen].index(name) for name in names]
    assert max(firsts) < sum(weights[: len(jobs)]) + room
