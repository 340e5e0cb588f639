"""Files that are there whole or not at all, several of them together.

They are written into a hidden folder next to where they belong, flushed to the disk, and then renamed one after the
other: whoever is killed before leaves the old files, and nobody reads half a file. No file system renames several files
at once, so a process of its own does it, in a session of its own, and ends it also when this one is killed meanwhile.
During that millisecond the folder is locked, so that of two writers one comes after the other.

The hidden folder of a process that was killed is removed by the next one that writes here. A process that is at work
holds a lock on its own; the operating system releases the locks of one that ended, however it ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":  # there files are written as safely, but two processes at once are not kept apart
    import fcntl

PREFIX, SUFFIX = ".unfinished-", ".part"
RENAME = """
import json, os, sys
order = sys.stdin.read()
if order.endswith("\\n"):  # else its sender was killed, and nothing has happened yet
    part, folder, names, obsolete = json.loads(order)
    for name in obsolete:
        if os.path.lexists(os.path.join(folder, name)):
            os.unlink(os.path.join(folder, name))
    for name in names:
        os.replace(os.path.join(part, name), os.path.join(folder, name))
"""
"""The program of the process that renames."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where the body writes the new content of one file, which takes its place at the end; see `elsewhere`.

    A link stays, and the file that it leads to is replaced. A device or a pipe is written to as it is.

    Raises OSError where the path is a folder's, or in no folder.
    """
    place = path.resolve()
    if place.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name a file in it")
    if not place.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into; make it first")
    if place.exists() and not place.is_file():
        yield place
        return
    with elsewhere(place.parent) as part:
        yield part / place.name


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path`; see `replacing`."""
    with replacing(path) as place:
        place.write_text(text, encoding="utf-8", newline="", errors="backslashreplace")


def write_files(folder: Path, texts: Mapping[str, str], obsolete: Callable[[], Iterable[str]] = lambda: ()) -> None:
    """Write UTF-8 texts to the files of these names in `folder`; see `elsewhere`."""
    with elsewhere(folder, obsolete) as part:
        for name, text in texts.items():
            (part / name).write_text(text, encoding="utf-8", newline="", errors="backslashreplace")


@contextmanager
def elsewhere(folder: Path, obsolete: Callable[[], Iterable[str]] = lambda: ()) -> Iterator[Path]:
    """A hidden folder; the files that the body writes into it are in `folder` at its end, and nobody reads half of one.

    A crash or a full disk leaves the old files. `obsolete` is called just before the new files take their places, and
    names the files that are removed then, unless they are written again.

    Raises OSError when the folder cannot be written or the disk is full; nothing is left behind.
    """
    with locked(folder):
        clear(folder)
        part = Path(tempfile.mkdtemp(dir=folder, prefix=PREFIX, suffix=SUFFIX))
        own = lock(part)
    try:
        yield part
        names = sorted(path.name for path in part.iterdir())
        for name in names:
            with (part / name).open("rb") as file:
                os.fsync(file.fileno())
        with locked(folder) as held:
            rename(part, folder, names, sorted(set(obsolete()) - set(names)), held)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        unlock(own)


def rename(part: Path, folder: Path, names: list[str], obsolete: list[str], held: int | None) -> None:
    """Bring `names` from `part` to `folder` and remove `obsolete`; of several, by a process that holds the lock too."""
    if len(names) == 1 and not obsolete:
        os.replace(part / names[0], folder / names[0])
        return
    order = json.dumps([os.path.abspath(part), os.path.abspath(folder), names, obsolete]) + "\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", RENAME],
        input=order, capture_output=True, text=True, start_new_session=True, pass_fds=[] if held is None else [held],
    )  # fmt: skip
    if done.returncode:
        raise OSError(f"{str(folder)!r} could not be written: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")


def clear(folder: Path) -> None:
    """Remove what processes that were killed have left."""
    for part in folder.glob(f"{PREFIX}*{SUFFIX}"):
        handle = lock(part, wait=False)
        if handle is not None:
            shutil.rmtree(part, ignore_errors=True)
            unlock(handle)


@contextmanager
def locked(folder: Path) -> Iterator[int | None]:
    """Alone in a folder, and not disturbed by Ctrl-C or SIGTERM, which wait until the body has ended."""
    mask = getattr(signal, "pthread_sigmask", None)
    before = mask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM}) if mask else None
    handle = lock(folder)
    try:
        yield handle
    finally:
        unlock(handle)
        if mask:
            mask(signal.SIG_SETMASK, before)


def lock(folder: Path, *, wait: bool = True) -> int | None:
    """Lock a folder; what `unlock` takes, or None where it is locked already or the file system has no locks."""
    if sys.platform == "win32":
        return None
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            os.close(handle)
        else:
            return handle
    return None


def unlock(handle: int | None) -> None:
    """Give a lock back."""
    if handle is not None:
        os.close(handle)
