"""Delivers the spool of a run in the background while the run goes on.

A thread suffices: it mostly waits for a database or a network. Entries that it cannot deliver
stay in the spool.
"""

from __future__ import annotations

import logging
import threading
import time

from slicewise.tracking.spool.delivery import Delivered, deliver
from slicewise.tracking.spool.sampler import Sampler
from slicewise.tracking.spool.spool import Spool
from slicewise.tracking.store import Store

HEARTBEAT_TAG = "slicewise.heartbeat"
"""Tag with the time when the process of a run was last alive, in seconds since 1970."""
HEARTBEAT_SECONDS = 60.0
_SAMPLE_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_PATIENCE_SECONDS = 4.0
"""Longest wait for a store that refused the latest delivery."""

_log = logging.getLogger(__name__)


class Uploader:
    """Delivers a spool until it is stopped.

    Args:
        spool: of the run.
        store: that the spool is for.
        delivered: state of the delivery; it is updated.
    """

    def __init__(self, spool: Spool, store: Store, delivered: Delivered) -> None:
        self.delivered = delivered
        self._spool, self._store = spool, store
        self._wanted = threading.Event()
        self._tried = threading.Condition()
        self._attempts = 0
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait_until_delivered(self, timeout_seconds: float) -> bool:
        """Wait until the store has every entry, refuses one, or the time is over.

        Returns:
            Whether the store has every entry.
        """
        with self._tried:
            if self.delivered.problem:
                # A store that does not answer now may let each request wait for long.
                timeout_seconds = min(timeout_seconds, _PATIENCE_SECONDS)
            deadline = time.monotonic() + timeout_seconds
            # The present attempt may have started before the latest entries.
            enough = self._attempts + 2
            while not self._spool.is_delivered():
                refused = self.delivered.problem and self._attempts >= enough
                if refused or time.monotonic() > deadline or not self._thread.is_alive():
                    return False
                self._wanted.set()
                self._tried.wait(0.1)
        return True

    def stop(self, timeout_seconds: float) -> bool:
        """Deliver what can be delivered in time and stop; whether the store has every entry."""
        if self._thread.ident is None:
            return not deliver(self._spool, self._store, self.delivered).problem
        is_done = self.wait_until_delivered(timeout_seconds)
        self._is_stopping = True
        self._wanted.set()
        # A thread that waits for a store that is down is not joined: it ends with the process.
        self._thread.join(timeout_seconds if is_done else 0.1)
        return self._spool.is_delivered()

    def _run(self) -> None:
        heartbeat = _Heartbeat(self._spool)
        pause = _PAUSE_SECONDS
        while not self._is_stopping:
            heartbeat.append_due()
            deliver(self._spool, self._store, self.delivered)
            with self._tried:
                self._attempts += 1
                self._tried.notify_all()
            refused = bool(self.delivered.problem)
            # Exponential back-off while the store is down.
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) if refused else _PAUSE_SECONDS
            self._wanted.wait(pause)
            self._wanted.clear()


class _Heartbeat:
    """Adds a heartbeat and system metrics to a spool at intervals."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._sampler = Sampler()
        self._samples = 0
        self._next_beat = 0.0
        self._next_sample = time.monotonic() + _SAMPLE_SECONDS

    def append_due(self) -> None:
        """Add what is due; neither a full disk nor an odd sensor stops the delivery."""
        now = time.monotonic()
        try:
            if now >= self._next_beat:
                self._next_beat = now + HEARTBEAT_SECONDS
                self._spool.append("tags", values={HEARTBEAT_TAG: f"{time.time():.0f}"})
            if now >= self._next_sample:
                self._next_sample = now + _SAMPLE_SECONDS
                self._samples += 1
                values = dict(self._sampler.sample())
                stamp = int(1000 * time.time())
                self._spool.append("samples", step=self._samples, time=stamp, values=values)
        except Exception as error:
            _log.warning("no heartbeat or sample of the system: %s", error)
