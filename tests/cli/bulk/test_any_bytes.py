"""Whatever a file holds, reading it ends in rows and in problems that name its lines."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.manifests import checked, problems

# What manifests are made of, so that more than their first line is read.
WORDS = (
    b"image left,right;scene\tname id share mode duration https://x.y/a.png squish hug 5 {} [] "
    b'null {"image":"a.png"} "image": 1e999 \xe9 \xef\xbb\xbf \xff\xfe \xed\xa0\x80'
).split(b" ")
MARKS = [b"\0", b"\n", b"\r\n", b"\r", b",", b";", b"\t", b'"', b'""', b" ", b"\x1a", b"\xc2\x85"]
PIECES = st.sampled_from(WORDS + MARKS)
BYTES = st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=200)
TABLES = BYTES.map(lambda rest: b"image,scene,name,id,duration\n" + rest)


@given(suffix=st.sampled_from([".csv", ".tsv", ".jsonl"]), content=BYTES | TABLES)
@example(suffix=".jsonl", content=b'{"image": ' + b"9" * 5000 + b"}")
@example(suffix=".jsonl", content=b'{"duration": ' + b"9" * 400 + b"}")
def test_a_file_of_any_bytes_ends_in_rows_and_problems(suffix: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"t{suffix}")
        path.write_bytes(content)
        for text in problems(path):
            assert text.startswith((f"{path}:", "rows: there is none"))


@given(content=BYTES)
def test_stdin_of_any_bytes_ends_in_rows_and_problems(content: bytes) -> None:
    found = checked("-", stdin=content)
    assert found.rows or found.problems
