"""``kling-effects bulk``: a folder of photographs in, a folder of clips out."""

from __future__ import annotations

from typing import Any

import rich_click as click

from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.effect_options import of_the_effect, previewing
from kling_effects_async.cli.options import (
    account,
    budget_units,
    file_name,
    file_names,
    for_bulk,
    journal,
    offered,
    text,
)
from kling_effects_async.cli.signals import loaded

__all__ = ["bulk"]

_NAME = "{stem}-{scene}"
_EXAMPLES = (
    "kling-effects bulk squish photos/ -o clips/",
    "kling-effects bulk photos.csv -o clips/ --dry-run",
    "kling-effects bulk squish '*.jpg' -o clips/ --by 18:00",
    "kling-effects bulk expansion - -o clips/ < list.txt",
    "kling-effects bulk squish photos/ -o clips/ --report run.html",
)


def _run_name(context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    name = text("name of the run")(context, option, given)
    if name is not None and not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise click.BadParameter("a name of a run has letters, digits, '.', '-' and '_' only.")
    return name


def _sources(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    for word in given:
        file_name("source")(context, option, word)
        # A pattern may have a question mark; a signed address has more.
        if "://" in word or ("?" in word and "=" in word):
            file_names(context, option, (word,))
    return given


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="SCENE SOURCE...",
    callback=_sources,
    shell_complete=offered("scene_then_files"),
)
@for_bulk
@click.option(
    "--name",
    metavar="TEMPLATE",
    default=_NAME,
    show_default=True,
    callback=text("template"),
    help="How clips are called; {index}, {task_id} and {external_task_id} are known too.",
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Take the first N only.")
@click.option("-r", "--recursive", "is_recursive", is_flag=True, help="Enter folders in folders.")
@click.option(
    "--prepare", "is_to_prepare", is_flag=True, help="Convert pictures that Kling would reject."
)
@click.option(
    "--skip-existing", "is_skipping", is_flag=True, help="Leave out what has a clip of its name."
)
@click.option(
    "--fail-fast", "is_fail_fast", is_flag=True, help="Send nothing more after the first failure."
)
@click.option(
    "--again", "is_one_more", is_flag=True, help="Make and pay all of it once more, as a new run."
)
@click.option(
    "--run",
    "run_name",
    metavar="NAME",
    callback=_run_name,
    help="A run of its own: what was made in others is made, and paid, once more in this one.",
)
@click.option(
    "--share",
    metavar="NAME",
    callback=text("share"),
    help="Whose slots they take, such as user-17.",
)
@click.option(
    "--dry-run", "is_dry", is_flag=True, help="Check all, say what it would cost, and send nothing."
)
@click.option(
    "--by", metavar="HH:MM", callback=text("time"), help="Say whether it can be over by then."
)
@click.option(
    "--report", metavar="FILE", callback=file_name("report"), help="Write a page about the run."
)
@of_the_effect
@journal
@click.option(
    "--no-journal",
    "has_journal",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Write nothing down: after a crash the service's list is all that is known.",
)
@account
@budget_units
@previewing
@click.pass_obj
def bulk(
    line: tuple[str, ...],
    /,
    words: tuple[str, ...],
    output: str,
    run_name: str | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Make a clip of every photograph of a folder.

    SCENE is the name of a scene (see: kling-effects scenes). A SOURCE is a folder, a pattern in
    quotes, a JPEG or PNG file, an http(s) URL, or a manifest: a table (.csv, .tsv, .jsonl) with the
    columns scene, image (or left and right), name, external_task_id, share, model_name, mode,
    duration_s. A dash reads a list or a manifest from stdin. Where each row names its scene, SCENE
    is left out. Prints the path of each clip as it is saved.

    All rows and pictures are checked before anything is sent. Each job is written down in a journal
    (by default one for each command line, in your state folder): typed again, after whatever death,
    the same command goes on and pays nothing twice. The rows that failed are in failed.csv in the
    output folder, to be corrected and run again.

    Without a key the clips are previews, made on this machine, not by Kling's model.

    Ctrl-C: nothing more is sent, and what runs is waited for. A second one leaves; what was paid is
    in the journal.
    """
    module = loaded("kling_effects_async.cli.bulk.bulk_run")
    module.run_bulk(
        words,
        output=output,
        run=run_name,
        as_json=as_json,
        is_silent=as_json or quiet,
        again=line,
        **options,
    )
