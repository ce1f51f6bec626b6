"""A tar archive, as Docker returns a file of a container."""

from __future__ import annotations

import io
import tarfile


def tar(name: str, content: bytes) -> bytes:
    """An archive with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
