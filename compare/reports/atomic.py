"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path` so that nobody, at no time, reads half of it.

    The text goes to a file of its own in the same folder, is flushed to the disk, and is renamed into place: a crash
    or a full disk leaves the old file, and of two processes writing the same path the later one wins.

    Raises OSError when the folder cannot be written or the disk is full; nothing is left behind.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~current_umask())  # mkstemp gives 0600, which would hide a report from a web server
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def current_umask() -> int:
    """The process's file creation mask; POSIX offers no way to read it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
