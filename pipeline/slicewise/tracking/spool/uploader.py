"""A spool in, its entries on their way to the store while the run goes on, out.

A thread of the same process delivers: it spends its time waiting for a database or a network, in
which the training goes on. What it cannot deliver stays in the spool.
"""

from __future__ import annotations

import logging
import threading
import time

from slicewise.errors import OutputError
from slicewise.tracking.spool.delivery import Delivered, deliver
from slicewise.tracking.spool.sampler import Sampler
from slicewise.tracking.spool.spool import Spool
from slicewise.tracking.store import Store

HEARTBEAT_TAG = "slicewise.heartbeat"
"""When the process of a run was last known to live, in seconds since 1970."""
HEARTBEAT_SECONDS = 60.0
_SAMPLE_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Uploader:
    """Delivers a spool until it is told that nothing more comes.

    Args:
        spool: of the run.
        store: that it is meant for.
        delivered: what has been delivered already; kept up to date.
    """

    def __init__(self, spool: Spool, store: Store, delivered: Delivered) -> None:
        self.delivered = delivered
        self._spool, self._store = spool, store
        self._wanted = threading.Event()
        self._tried = threading.Condition()
        self._attempts = 0
        self._is_leaving = False
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def settle(self, patience_seconds: float) -> bool:
        """Wait until the store has every entry, or refuses one, or patience ends.

        Returns:
            Whether the store has every entry.
        """
        deadline = time.monotonic() + patience_seconds
        with self._tried:
            # The attempt that is under way may not know the latest entries.
            enough = self._attempts + 2
            while not self._spool.is_delivered():
                refused = self.delivered.problem and self._attempts >= enough
                if refused or time.monotonic() > deadline or not self._thread.is_alive():
                    return False
                self._wanted.set()
                self._tried.wait(0.1)
        return True

    def leave(self, patience_seconds: float) -> bool:
        """End after what can be delivered in time; returns whether the store has every entry."""
        is_done = self.settle(patience_seconds)
        self._is_leaving = True
        self._wanted.set()
        # A thread that waits for a store that is down is left alone: it ends with the process.
        self._thread.join(patience_seconds if is_done else 0.1)
        return self._spool.is_delivered()

    def _work(self) -> None:
        machine = _Machine(self._spool)
        pause = _PAUSE_SECONDS
        while not self._is_leaving:
            machine.tell()
            deliver(self._spool, self._store, self.delivered)
            with self._tried:
                self._attempts += 1
                self._tried.notify_all()
            refused = bool(self.delivered.problem)
            # A store that is down is asked less and less often.
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) if refused else _PAUSE_SECONDS
            self._wanted.wait(pause)
            self._wanted.clear()


class _Machine:
    """Adds a sign of life and the load of the machine to a spool, now and then."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._sampler = Sampler()
        self._samples = 0
        self._next_beat = 0.0
        self._next_sample = time.monotonic() + _SAMPLE_SECONDS

    def tell(self) -> None:
        """Add what is due; a disk that is full stops no delivery."""
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
                self._spool.append("metrics", step=self._samples, time=stamp, values=values)
        except OutputError as error:
            _log.warning("%s", error)
