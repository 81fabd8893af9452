"""A TLS certificate that its own server made, as no browser trusts it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["needs_openssl", "self_signed"]

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate")


def self_signed(path: Path) -> Path:
    """Write the key and the certificate of "localhost" into one file."""
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    out = ["-keyout", "-", "-out", "-"]
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *out],
        capture_output=True,
        check=True,
    )
    path.write_bytes(made.stdout)
    return path
