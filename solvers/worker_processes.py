"""A process that works for another one: it leaves Ctrl-C to that one, and ends when that one is gone."""

from __future__ import annotations

import os
import signal
import threading
import time

LOOKED_EVERY = 0.5
"""Seconds."""


def become_worker(parent: int) -> None:
    """Make this process a worker of the process `parent`, its own parent, which alone answers Ctrl-C.

    A parent that was killed ends nobody, and its workers would live on; the system then gives them another parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOKED_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch").start()
