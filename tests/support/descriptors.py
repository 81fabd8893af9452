"""This process's descriptors: none left for a while, and those that listen."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

__all__ = ["listening_sockets", "needs_a_list", "no_descriptor_left"]

_DESCRIPTORS = "/dev/fd"


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let every ``open`` fail with EMFILE; what is open stays open."""
    import resource  # not on every system

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


needs_a_list = pytest.mark.skipif(
    not os.path.isdir(_DESCRIPTORS), reason="the system does not list open descriptors"
)


def listening_sockets() -> set[object]:
    """The names of this process's sockets that take connections, of whatever family."""
    found: set[object] = set()
    for number in map(int, os.listdir(_DESCRIPTORS)):
        with suppress(OSError):  # what listed the folder is closed by now
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as each:
                    if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        found.add(each.getsockname())
    return found
