"""Forwarding of messages to Pub/Sub, in the background.

One thread publishes what waits, topic by topic and in each in order, and marks it after Pub/Sub has answered: every
message arrives at least once, and again when the answer was lost. A topic that cannot be reached waits longer each
time, with the reason in view. No store request ever waits for any of this.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dicomkit.engine.persistence import messages as rows
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.pubsub import MAX_MESSAGES, Outgoing, PublishFailed, Sender
from dicomkit.engine.services.pubsub_message import attributes, data
from dicomkit.errors import SetupError

__all__ = ["Publishing"]

_log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
"""How long an answer of Pub/Sub is waited for."""

CLOSE_S = 5.0
"""How long closing waits for what can still be published."""

_BACKOFF_S = 0.25
_BACKOFF_MAX_S = 60.0


@dataclass(slots=True)
class _Failure:
    """A topic that did not move at the last attempt."""

    attempts: int
    not_before: float


class Publishing:
    """The thread that forwards messages.

    Parameters
    ----------
    storage
        The home's files.
    connect
        Makes the connection; called in the thread when there is something to publish.
    """

    def __init__(self, storage: Storage, connect: Callable[[], Sender]) -> None:
        self._storage = storage
        self._connect = connect
        self._sender: Sender | None = None
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_new = False
        self._stop_at: float | None = None
        self._failures: dict[int, _Failure] = {}
        with storage.database.read() as connection:
            if rows.waiting_topics(connection):
                self.notify()

    def notify(self) -> None:
        """Messages have been committed."""
        with self._state:
            self._is_new = True
            if self._thread is None and self._stop_at is None:
                self._thread = threading.Thread(target=self._run, name="dicomkit-publishing", daemon=True)
                self._thread.start()
            self._state.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Try again at once, and wait until nothing waits; ``False`` when *timeout_s* is over before."""
        until = time.monotonic() + timeout_s
        with self._state:
            self._failures.clear()
        self.notify()
        while True:
            with self._storage.database.read() as connection:
                waiting = rows.waiting_topics(connection)
            with self._state:
                left = until - time.monotonic()
                if not waiting or left <= 0:
                    return not waiting
                self._state.wait(min(left, _BACKOFF_S))

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Publish what waits, unless it fails or takes longer than *timeout_s*, and end the thread."""
        with self._state:
            self._stop_at = time.monotonic() + timeout_s
            self._failures.clear()
            thread = self._thread
            self._state.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # The thread

    def _run(self) -> None:
        while True:
            with self._state:
                while not (self._is_new or self._stop_at is not None or self._is_due()):
                    self._state.wait(self._pause())
                self._is_new, is_last = False, self._stop_at is not None
            try:
                self._pass()
            except Exception as exc:  # noqa: BLE001 - the catalog failed; the thread must live to try again
                _log.error("publishing is interrupted: %s", type(exc).__name__)
                time.sleep(0.0 if is_last else _BACKOFF_S)
                with self._state:
                    self._is_new = True
            with self._state:
                self._state.notify_all()
            if is_last:
                if self._sender is not None:
                    self._sender.close()
                return

    def _is_due(self) -> bool:
        now = time.monotonic()
        return any(failure.not_before <= now for failure in self._failures.values())

    def _pause(self) -> float | None:
        times = [failure.not_before for failure in self._failures.values()]
        return max(0.001, min(times) - time.monotonic()) if times else None

    def _pass(self) -> None:
        """Publish what waits, topic by topic."""
        with self._storage.database.read() as connection:
            waiting = rows.waiting_topics(connection)
        with self._state:
            present = {key for key, _ in waiting}
            for key in [k for k in self._failures if k not in present]:
                del self._failures[key]
            failures = dict(self._failures)
        for key, name in waiting:
            failure = failures.get(key)
            if failure is None or failure.not_before <= time.monotonic():
                self._publish_all(key, name)

    def _publish_all(self, key: int, name: str) -> None:
        try:
            while (left := self._left()) > 0 and self._publish(key, name, left):
                with self._state:
                    self._failures.pop(key, None)
                    self._state.notify_all()
        except (PublishFailed, SetupError) as exc:
            self._failed(key, str(exc))
        except Exception as exc:  # noqa: BLE001 - whatever it is, the messages wait and are tried again
            self._failed(key, f"publishing failed ({type(exc).__name__})")

    def _left(self) -> float:
        return TIMEOUT_S if self._stop_at is None else min(TIMEOUT_S, self._stop_at - time.monotonic())

    def _publish(self, key: int, name: str, timeout_s: float) -> bool:
        """Publish one request; ``False`` when nothing waits."""
        with self._storage.database.read() as connection:
            bundles = rows.take(connection, key, MAX_MESSAGES)
        if not bundles:
            return False
        if self._sender is None:
            self._sender = self._connect()
        outgoing = [Outgoing(data(m).encode(), attributes(m)) for bundle in bundles for m in bundle.messages]
        self._sender.publish(name, outgoing, timeout_s)
        with self._storage.database.write() as connection:
            rows.settle(connection, key, bundles)
        return True

    def _failed(self, key: int, reason: str) -> None:
        """Keep the reason, and try again later."""
        if key not in self._failures:
            _log.warning("a topic does not move: %s", reason)
        try:
            with self._storage.database.write() as connection:
                rows.note_stall(connection, key, reason)
        finally:
            with self._state:
                attempts = self._failures[key].attempts + 1 if key in self._failures else 1
                pause = min(_BACKOFF_MAX_S, _BACKOFF_S * 2 ** min(attempts - 1, 16))
                self._failures[key] = _Failure(attempts, time.monotonic() + pause)
