"""The HTTP server: waitress, with a gate in front, limits of time, and an end that finishes what was begun.

Source: waitress 3 (``server``, ``channel``, ``adjustments``); docs/adr/0008 for why it is this one.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from dicomkit.errors import SetupError
from dicomkit.server.channel import Channel
from dicomkit.server.gate import Gate
from dicomkit.server.health import Health
from dicomkit.server.parser import MAX_HEADER_BYTES

__all__ = ["Server"]

THREADS = 16
"""Requests that are answered at a time; others wait for their turn."""

CONNECTIONS = 512
"""Connections that are open at a time; others wait to be accepted."""

GRACE_S = 30.0
"""How long requests that were begun may take to end when the server stops."""

_ACCEPTED_BYTES = 256 << 10
_WAITING_BYTES = 1 << 20

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server(TcpWSGIServer):
    """A WSGI application at a port; it answers from :meth:`run` to :meth:`stop`.

    Parameters
    ----------
    application
        What answers.
    gate
        Who is let in.
    host, port
        Where to listen; port 0 takes any that is free.
    spool
        Folder for bodies of requests that are larger than memory.
    ready
        Whether the application can answer, for ``/readyz``.

    Raises
    ------
    SetupError
        The port is in use, or the address is none of this machine's.
    """

    channel_class = Channel

    def __init__(
        self,
        application: WsgiApp,
        *,
        gate: Gate,
        spool: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int = THREADS,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.gate = gate
        self.spool = spool
        self._stopping = threading.Event()
        # Of the thread itself too: a signal's handler runs in the middle of whatever the main thread does.
        self._waking = threading.RLock()
        self._is_over = False
        self._host = host
        adjustments = {
            "threads": threads,
            "connection_limit": CONNECTIONS,
            "backlog": 1024,
            "recv_bytes": _ACCEPTED_BYTES,
            "max_request_header_size": MAX_HEADER_BYTES,
            "max_request_body_size": 1 << 60,  # the gate has its own limits
            "outbuf_high_watermark": _WAITING_BYTES,
            "outbuf_overflow": 4 * _WAITING_BYTES,  # never: no answer goes through a file
            "cleanup_interval": 1,
            "asyncore_loop_timeout": 1,
            "asyncore_use_poll": True,
            "log_socket_errors": False,
            "ident": "",
            "clear_untrusted_proxy_headers": True,
        }
        try:
            super().__init__(
                Health(application, lambda: not self.is_stopping and ready()),
                adj=Adjustments(host=host, port=port, **adjustments),
            )
        except (OSError, ValueError) as exc:
            if isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE:
                raise SetupError(f"port {port} is in use; choose another one, or 0 for any that is free") from exc
            reason = exc.strerror if isinstance(exc, OSError) else "no such address"
            raise SetupError(f"nobody can listen at {host!r:.80}, port {port} ({reason})") from exc

    @property
    def url(self) -> str:
        """Where clients of this machine find the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - nothing is bound here
        return f"http://[{host}]:{self.effective_port}" if ":" in host else f"http://{host}:{self.effective_port}"

    @property
    def is_stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Have :meth:`run` return once every request that was begun is answered; also from a signal's handler."""
        self._stopping.set()
        self.pull_trigger()

    def run(self) -> None:
        """Answer requests until :meth:`stop` is called."""
        while not self.is_stopping:
            self._turn(1.0)
        wasyncore.dispatcher.close(self)  # the port is free
        self._turn(0.0)  # what has arrived already was begun, too
        until = time.monotonic() + GRACE_S
        while self._close_idle() and time.monotonic() < until:
            self.maintenance(time.time())
            self._turn(0.1)
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        self.task_dispatcher.shutdown()
        with self._waking:
            self._is_over = True
            self.trigger.close()

    def pull_trigger(self) -> None:
        """Wake :meth:`run`; when it has ended its pipe is closed, and the number may be another file's."""
        with self._waking:
            if not self._is_over:
                super().pull_trigger()

    def _turn(self, timeout_s: float) -> None:
        wasyncore.loop(timeout=timeout_s, use_poll=True, map=self._map, count=1)

    def _close_idle(self) -> bool:
        """Close the connections that nothing comes from; whether others are left."""
        for channel in self.active_channels.values():
            if channel.is_idle:
                channel.will_close = True
        return bool(self.active_channels)

    def maintenance(self, now: float) -> None:
        """Close the connections of clients that have had their time."""
        for channel in list(self.active_channels.values()):
            if channel.is_overdue(now):
                # At once: a client that takes nothing would never let the channel write, which is when waitress closes.
                channel.handle_close()
