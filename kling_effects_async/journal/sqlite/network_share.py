"""Whether a journal lies on a network share, where SQLite's log is not safe.

The log's index is memory that the processes of one machine share, and locks of network file systems
cannot be relied on (sqlite.org, "Write-Ahead Logging" and "How To Corrupt", 2.1).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from kling_effects_async.log_fields import log_fields

__all__ = ["warn_of_network_share"]

_log = logging.getLogger(__name__)

_MOUNTS = Path("/proc/self/mountinfo")
_KINDS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone"}
)


def warn_of_network_share(journal: Path, mounts: Path = _MOUNTS) -> None:
    """Log a warning if the journal's folder is another machine's, as far as Linux reports it.

    Args:
        mounts: a table of what is mounted, as in proc_pid_mountinfo(5).
    """
    try:
        device = os.stat(journal.parent).st_dev
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    kinds = dict(map(_device_and_kind, lines))
    if (kind := kinds.get(f"{os.major(device)}:{os.minor(device)}")) in _KINDS:
        _log.warning(
            "%s lies on a network share (%s): use it from one machine only, or put it on a local "
            "disk, where its locks can be relied on",
            journal,
            kind,
            extra=log_fields("journal.on_network_share", path=str(journal), filesystem=kind),
        )


def _device_and_kind(line: str) -> tuple[str, str]:
    fields = line.split()
    return fields[2], fields[fields.index("-") + 1]
