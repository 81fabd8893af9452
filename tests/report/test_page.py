"""What is on the page, read by a parser of HTML."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from kling_effects_async.report import ItemState, ReportItem
from tests.support.reports import (
    STARTED,
    ReadPage,
    ended,
    failed,
    jpeg,
    page_of,
    report_of,
    saved,
)

HOSTILE = [
    "<script>alert(1)</script>.jpg",
    '"><img src=x onerror=alert(1)>',
    "</style></script></title><!--",
    "' onfocus='alert(1)",
    "&lt;b&gt;",
    "${title} $notice $$",
    "\u202egpj.exe",
    "a" * 300,
    "bad\udcff\x00\x1b[31m.jpg",
]


def read(folder: Path, *items: ReportItem, **members: object) -> ReadPage:
    return ReadPage(page_of(folder, items, **members))


def page_full_of(folder: Path, text: str) -> ReadPage:
    """A page whose every text is this one."""
    names = ("name", "where", "reason", "detail", "advice", "task_id", "external_task_id")
    item = failed(units=Decimal(1), **dict.fromkeys(names, text))
    lines = dict.fromkeys(("title", "scene", "cost_source", "cost_unit", "retry_command"), text)
    return read(folder, item, **lines)


def shape_of(page: ReadPage) -> list[tuple[str, list[str]]]:
    """The tags in order, each with the names of its attributes."""
    return [(tag, list(attributes)) for tag, attributes in page.tags]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_from_anywhere_stays_a_text(tmp_path: Path, name: str) -> None:
    assert shape_of(page_full_of(tmp_path, name)) == shape_of(page_full_of(tmp_path, "harmless"))


def test_a_name_is_shown_letter_for_letter(tmp_path: Path) -> None:
    for name in HOSTILE[:6]:
        assert name in read(tmp_path, saved(name)).texts


def test_a_text_cannot_turn_the_words_beside_it(tmp_path: Path) -> None:
    assert "<bdi>\u202egpj.exe</bdi>" in page_of(tmp_path, [saved("\u202egpj.exe")])


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = read(tmp_path, saved(clip="clips/cat.mp4", input_thumbnail=jpeg()), ended(0, 20))
    addresses = [a[key] or "" for _tag, a in page.tags for key in ("src", "href") if a.get(key)]
    outside = [a for a in addresses if not a.startswith(("#", "data:"))]
    assert set(outside) == {"clips/cat.mp4"}
    css = "".join(page.texts)
    assert "url(" not in css
    assert "@import" not in css


def test_the_policy_allows_the_inline_texts_of_the_page_and_nothing_else(tmp_path: Path) -> None:
    page = page_of(tmp_path, [saved()])
    inline = re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", page, re.DOTALL)
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in inline
    }
    policy = next(
        meta["content"] or ""
        for meta in ReadPage(page).all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert {*rules["script-src"].split(), *rules["style-src"].split()} == hashes
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    assert (rules["base-uri"], rules["form-action"]) == ("'none'", "'none'")


def test_no_secret_of_an_address_or_a_message_is_on_the_page(tmp_path: Path) -> None:
    """Fault 67: a signed address, or a key that a service repeated, is in no report."""
    signed = "https://cdn.example/cat.mp4?sign=S3CRETS3CRET"
    texts = dict.fromkeys(("name", "where", "reason", "detail", "advice", "clip"), signed)
    item = failed(first_frame=jpeg(), **texts)
    page = page_of(tmp_path, [item], title=signed, scene=signed, cost_source=signed)
    assert "S3CRET" not in page


def test_the_counts_and_the_time_of_the_run_are_at_the_top(tmp_path: Path) -> None:
    there = ReportItem(name="a", state=ItemState.EXISTED)
    text = read(tmp_path, saved(), saved(), there, failed(), took_s=4_650).text
    assert "3 of 4 clips saved" in text
    assert "1 June 2026, 14:03 to 15:20 CEST" in text
    assert "Took 1 h 17 min" in text


def test_a_run_over_midnight_names_both_days(tmp_path: Path) -> None:
    took_s = timedelta(hours=12).total_seconds()
    text = read(tmp_path, saved(), took_s=took_s).text
    assert f"{STARTED.day} June 2026, 14:03 to 2 June 2026, 02:03" in text


def test_previews_are_said_to_be_previews_and_cost_nothing(tmp_path: Path) -> None:
    text = read(tmp_path, saved(units=Decimal(5)), is_preview=True).text
    assert "Previews, made on this machine, not by Kling's model." in text
    assert "Nothing was paid" in text
    assert "5 units" not in text
    assert "not by Kling's model" not in read(tmp_path, saved()).text


def test_failures_say_why_what_to_do_and_how_to_run_them_again(tmp_path: Path) -> None:
    line = "kling-effects bulk squish failed.csv -o 'my clips/'"
    items = [failed(where="photos.csv:17", advice="Take another picture.", detail="risk control")]
    text = read(tmp_path, *items, retry_command=line).text
    for words in ("No face was found", "Take another picture.", "photos.csv:17", "risk control"):
        assert words in text
    assert line in text
    assert line not in read(tmp_path, saved(), retry_command=line).text


def test_what_has_not_ended_is_said_with_the_line_that_goes_on(tmp_path: Path) -> None:
    running = ReportItem(name="a", state=ItemState.RUNNING, task_id="1")
    waiting = ReportItem(name="b", state=ItemState.NOT_SENT)
    text = read(tmp_path, running, waiting, waiting, continue_command="the same line").text
    assert "Not finished: 1 running at the service, 2 not sent" in text
    assert "the same line" in text


def test_a_run_of_nothing_is_a_page_that_says_so(tmp_path: Path) -> None:
    text = read(tmp_path).text
    for words in ("There was nothing to do.", "Nothing failed.", "No item.", "No task ended"):
        assert words in text


def test_the_cost_says_where_it_comes_from(tmp_path: Path) -> None:
    tasks = [saved(task_id="1", units=Decimal("3.5")), saved(task_id="2")]
    text = read(tmp_path, *tasks, budget_units=Decimal(10)).text
    assert "Reported by the service for 1 of 2 tasks." in text
    assert "3.5 of a budget of 10 units." in text
    assert "From the price list." in read(tmp_path, *tasks, cost_source="From the price list.").text
    assert "did not report" in read(tmp_path, saved(task_id="1")).text


def test_few_tasks_are_bars_that_lead_to_their_items_and_many_are_columns(tmp_path: Path) -> None:
    few = page_of(tmp_path, [ended(n, n + 30) for n in range(40)], slots=[(0, 40)])
    assert 'href="#item-40"' in few
    many = page_of(tmp_path, (ended(n, n + 30) for n in range(700)), slots=[(0, 40)], took_s=730)
    assert "Ended, for each" in many
    assert 'href="#item-700"' not in many


def test_a_task_that_ended_at_once_has_a_bar_too(tmp_path: Path) -> None:
    lost = ReportItem(name="a", state=ItemState.UNCERTAIN, submitted_s=300)
    bars = [tag for tag in read(tmp_path, lost).all("rect") if "bar " in (tag["class"] or "")]
    assert [(bar["x"], bar["width"]) for bar in bars] == [("50.00%", "0.20%")]


def test_slots_that_change_ten_thousand_times_are_a_short_line(tmp_path: Path) -> None:
    slots = [(n / 20, n % 7) for n in range(10_000)]
    page = page_of(tmp_path, [ended(0, 500)], slots=slots)
    assert 10 < page.count('class="slots"') < 700


def test_items_after_the_first_page_are_hidden_until_they_are_asked_for(tmp_path: Path) -> None:
    page = read(tmp_path, *(saved(str(n)) for n in range(60)))
    cards = [tag for tag in page.all("li") if tag.get("class") == "card"]
    assert ["hidden" in card for card in cards] == [False] * 48 + [True] * 12


def test_every_id_of_the_page_is_there_once_and_every_link_inside_it_leads_somewhere(
    tmp_path: Path,
) -> None:
    items = [saved(), failed(), failed("b", "other"), ended(0, 9)]
    page = read(tmp_path, *items, retry_command="x", continue_command="y")
    ids = [attributes["id"] for _tag, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = {a["href"] for a in page.all("a") if (a.get("href") or "").startswith("#")}
    assert {f"#{name}" for name in ids} >= inside
    named = {a["aria-labelledby"] for _tag, a in page.tags if a.get("aria-labelledby")}
    assert set(ids) >= named


def test_a_report_is_a_value() -> None:
    assert report_of(()) == report_of(())
