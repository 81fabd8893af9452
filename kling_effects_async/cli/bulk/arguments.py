"""The options of one bulk run, and what follows from them; pure."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from attrs import frozen

from kling_effects_async.cli.hints import joined
from kling_effects_async.cli.output_path import OutputPath
from kling_effects_async.cli.service_choice import ServiceChoice
from kling_effects_async.web_address import address_label

__all__ = ["BulkArguments", "default_run_name", "split_scene"]

_MANIFESTS = (".csv", ".tsv", ".jsonl", ".ndjson")
_UNFIT = re.compile(r"[^a-z0-9]+")
_LONGEST_WORD = 30


@frozen(kw_only=True)
class BulkArguments:
    """The options of one bulk run.

    Attributes:
        scene: that of all rows that name none; ``None``: each names its own.
        sources: folders, patterns, files, addresses, manifests, or ``-``.
        output: the folder for the clips.
        journal: the file, as the person named it; ``None``: the run's own.
        has_journal: the run is written down.
        run: the run's name, part of its jobs' ids; ``None``: pictures of an earlier run under no
            name are not paid again.
        is_one_more: nothing that was made before counts.
        is_skipping: a row whose clip is there already is left out.
        is_fail_fast: after the first failure nothing more is sent.
        is_dry: nothing is sent at all.
        by: when the run should be over, as the person wrote it.
        report: the file for the page about the run.
        again: the command line itself, to be typed again.
    """

    scene: str | None
    sources: tuple[str, ...]
    output: OutputPath
    name: str
    journal: str | None
    has_journal: bool
    run: str | None
    is_one_more: bool
    is_recursive: bool
    is_to_prepare: bool
    is_skipping: bool
    is_fail_fast: bool
    is_dry: bool
    limit: int | None
    share: str | None
    by: str | None
    report: str | None
    model_name: str | None
    mode: str | None
    duration_s: int | None
    service: ServiceChoice
    account: str | None
    budget_units: Decimal | None
    timeout_s: float
    may_preview: bool
    clips: str
    as_json: bool
    is_silent: bool
    again: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The folder for the clips."""
        return self.output.file_or_folder

    @property
    def failed_path(self) -> Path:
        """The manifest of the rows that failed."""
        return self.folder / "failed.csv"

    @property
    def is_for_real(self) -> bool:
        """Whoever names a journal or sets a budget does not mean a preview."""
        return not self.may_preview or self.journal is not None or self.budget_units is not None

    def again_command(self, *more: str) -> str:
        """The same command line, to copy; without what an address is signed with."""
        return joined([*map(_unsigned, self.again), *more])

    def command_for(self, manifest: Path) -> str:
        """A command line for another manifest, with the same folder and names."""
        return joined(["kling-effects", "bulk", str(manifest), "-o", str(self.folder)])


def split_scene(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The scene and the sources, of the arguments: a manifest or ``-`` needs no scene before it."""
    first, *rest = words
    is_source = first == "-" or first.lower().endswith(_MANIFESTS)
    return (None, words) if is_source else (first, tuple(rest))


def default_run_name(scene: str | None, sources: Iterable[str]) -> str:
    """What the run's journal is called: the same for the same command line, wherever it is typed.

    Such as ``squish-photos-3fa2c1d07b``.
    """
    places = [
        source if "://" in source or source == "-" else os.path.abspath(source)
        for source in sources
    ]
    digest = hashlib.sha256("\0".join([scene or "", *places]).encode("utf-8", "surrogateescape"))
    words = [_word(scene or ""), _word(os.path.basename(places[0].rstrip("/")) or "run")]
    return "-".join([*filter(None, words), digest.hexdigest()[:10]])


def _unsigned(word: str) -> str:
    return address_label(word) if "://" in word else word


def _word(text: str) -> str:
    return _UNFIT.sub("-", text.lower())[:_LONGEST_WORD].strip("-")
