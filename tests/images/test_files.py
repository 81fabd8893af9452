"""What is at an image's path, and the hash of what is there."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from kling_effects_async.errors import ImageRejectedError, ImageUnreadableError
from kling_effects_async.images.checks import (
    check_image,
    image_hash,
    inspect_image,
    prepare,
)
from kling_effects_async.protocol.messages import FileState
from tests.support.descriptors import no_descriptor_left
from tests.support.pictures import (
    encoded,
    gradient,
    problems_of,
)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageRejectedError, match=r"cat\.jpg: There is no such file\."):
        check_image(tmp_path / "cat.jpg")


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").touch()
    assert problems_of(tmp_path / "cat.jpg") == "It is empty."


def test_a_folder_is_told(tmp_path: Path) -> None:
    """Fault 58."""
    assert "folder" in problems_of(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_named_pipe_is_rejected_without_waiting_for_its_writer(tmp_path: Path) -> None:
    """Fault 58: an open that waits would end in this suite's timeout."""
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "named pipe" in problems_of(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="the system has no such device")
def test_a_device_is_rejected(tmp_path: Path) -> None:
    """Fault 58."""
    assert "device" in problems_of(Path("/dev/zero"))


def test_a_circle_of_links_is_told(tmp_path: Path) -> None:
    """Fault 58."""
    (tmp_path / "a.jpg").symlink_to("b.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    assert "leads back to itself" in problems_of(tmp_path / "a.jpg")


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(encoded(gradient()))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "permissions" in problems_of(path)


def test_a_name_that_no_file_can_have_is_told() -> None:
    assert "null" in problems_of(Path("cat\0.jpg"))


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no such limit")
def test_a_file_that_this_machine_cannot_open_now_is_not_rejected(tmp_path: Path) -> None:
    """Fault 83: the picture may be fine."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(encoded(gradient()))
    for examine in (check_image, prepare, image_hash):
        with no_descriptor_left(), pytest.raises(ImageUnreadableError) as caught:
            examine(path)
        assert str(caught.value).startswith("cat.jpg: this machine cannot read the file now (Too m")
        assert caught.value.image == "cat.jpg"
    assert check_image(path).format == "JPEG"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the system has no such file")
def test_a_file_that_fails_while_it_is_read_is_not_rejected() -> None:
    """Address 0 is never mapped: the system answers EIO, as a failing disk does."""
    with pytest.raises(ImageUnreadableError, match="Input/output error"):
        image_hash(Path("/proc/self/mem"))


def test_one_look_tells_the_facts_the_hash_and_what_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(encoded(gradient(), "PNG"))
    found, os_stat = inspect_image(path, with_hash=True), path.stat()
    assert (found.facts, found.sha256) == (check_image(path), image_hash(path))
    assert found.state == FileState(os_stat.st_size, os_stat.st_mtime_ns, os_stat.st_nlink)
    assert inspect_image(path, with_hash=False).sha256 == ""
    assert inspect_image(path.read_bytes(), with_hash=True).state is None


def test_the_hash_is_of_the_content_wherever_it_is(tmp_path: Path) -> None:
    content = encoded(gradient())
    (tmp_path / "cat.jpg").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert image_hash(content) == image_hash(tmp_path / "cat.jpg") == expected


def test_the_hash_of_a_url_is_of_its_text() -> None:
    url = "https://pictures.example/cat.jpg"
    assert image_hash(url) == hashlib.sha256(url.encode()).hexdigest()


def test_a_missing_file_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(ImageRejectedError, match="no such file"):
        image_hash(tmp_path / "cat.jpg")
