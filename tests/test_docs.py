"""Every code block of the README and the docs runs; every table of facts is the code's own."""

from __future__ import annotations

import ast
import re
import shutil
import types
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kling_effects_async import PollPolicy, TaskStatus
from kling_effects_async.emulator import CallbackFault, Clips, Emulator, Fault
from kling_effects_async.emulator.callback_faults import CALLBACK_CONSTRUCTORS
from kling_effects_async.emulator.faults import CONSTRUCTORS
from kling_effects_async.emulator.rejections import CODES
from kling_effects_async.polling.lifecycle import FOLLOWERS
from tests.conftest import PHOTOS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *DOCS]
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#]+)")


def blocks(page: Path) -> list[str]:
    return _BLOCK.findall(page.read_text("utf-8"))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pictures that the documents speak of."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(PHOTOS / "cat.jpg", "cat.jpg")
    for name, photo in (("ann.png", "astronaut.jpg"), ("ben.png", "coffee.jpg")):
        Image.open(PHOTOS / photo).save(name)
    Image.open(PHOTOS / "cat.jpg").resize((90, 60)).save("thumbnail.webp")
    return tmp_path


@pytest.mark.usefixtures("desk", "unguarded")
async def test_every_python_block_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """In real time: its clips are drawn by other processes."""
    await run_blocks(README, monkeypatch)


@pytest.mark.looptime
@pytest.mark.usefixtures("desk", "unguarded")
@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
async def test_every_python_block_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await run_blocks(page, monkeypatch)


async def run_blocks(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Emulator(speed=600, clips=Clips.STOCK) as emulator:
        monkeypatch.setenv("KLING_API_KEY", emulator.api_key)
        monkeypatch.setenv("KLING_SERVICE", emulator.url)
        async with emulator.client(poll=PollPolicy(shortest_s=0.05)) as client:
            names: dict[str, Any] = {"__name__": "__main__", "client": client}
            for block in blocks(page):
                await run(block, names, f"{page.name}")


async def run(block: str, names: dict[str, Any], where: str) -> None:
    """Run a block as if typed at a prompt that knows ``await``."""
    code = compile(block, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = types.FunctionType(code, names)()
    if outcome is not None:
        await outcome


def test_the_documents_have_blocks_to_run() -> None:
    assert sum(len(blocks(page)) for page in PAGES) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = [t for t in _LINK.findall(page.read_text("utf-8")) if "://" not in t]
    if not (ROOT / "LICENSE").exists():
        pytest.skip("the documents stand alone here; the files they link to are not beside them")
    for target in targets:
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_table_of_statuses_is_the_one_in_the_code() -> None:
    order = list(TaskStatus)
    rows = [
        f"| {status} | {', '.join(str(s) for s in order if s in FOLLOWERS[status])} |"
        for status in order
    ]
    assert "\n".join(rows) in (ROOT / "docs" / "guide.md").read_text("utf-8")


def faults_table(kind: type, constructors: Sequence[str]) -> str:
    """Every constructor, and the first sentence about it."""
    rows = ["| fault | arguments | what happens |", "| --- | --- | --- |"]
    for name in constructors:
        constructor = getattr(kind, name)
        arguments = ", ".join(f"`{argument}`" for argument in signature(constructor).parameters)
        sentence = (constructor.__doc__ or "").partition("\n")[0].replace("``", "`")
        rows.append(f"| `{name}` | {arguments} | {sentence} |")
    return "\n".join(rows)


def codes_table() -> str:
    rows = [f"| {code} | {status} | `{words}` |" for code, (status, words) in CODES.items()]
    return "\n".join(["| code | HTTP | words |", "| --- | --- | --- |", *rows])


TABLES = {
    "faults": faults_table(Fault, CONSTRUCTORS),
    "callbacks": faults_table(CallbackFault, CALLBACK_CONSTRUCTORS),
    "codes": codes_table(),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_the_tables_of_faults_and_codes_are_the_ones_in_the_code(table: str) -> None:
    assert table in (ROOT / "docs" / "emulator.md").read_text("utf-8")


def test_every_argument_of_the_emulator_is_in_its_table() -> None:
    text = (ROOT / "docs" / "emulator.md").read_text("utf-8")
    rows = [line.partition(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert set(signature(Emulator).parameters) - told <= {"host", "port", "seed", "wall"}


def test_every_error_in_the_guide_is_public() -> None:
    text = (ROOT / "docs" / "guide.md").read_text("utf-8")
    import kling_effects_async

    named = set(re.findall(r"`(\w+Error)`", text))
    assert named - {"TimeoutError", "TypeError"} <= set(dir(kling_effects_async))


def test_the_readmes_first_blocks_are_one_command_each() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for heading in ("## Try it", "## Run the tests"):
        block = re.search(r"```sh\n(.*?)```", text[text.index(heading) :], re.DOTALL)
        assert block is not None
        assert len(block.group(1).strip().splitlines()) == 1
