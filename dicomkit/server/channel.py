"""A connection of the server: its time limits, and its requests handed to the application.

Bytes come in by one thread for all connections, so that a slow client keeps nobody waiting; a request gets a thread of
its own when it is there as a whole. Large pieces of an answer are sent from that thread, small ones by the one for all.
"""

from __future__ import annotations

import functools
import logging
import selectors
import socket
import time
from typing import TYPE_CHECKING, Any

import orjson
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import ErrorTask, Task, WSGITask

from dicomkit.engine.access import CALLER, METHOD_ID
from dicomkit.errors import Internal, to_body
from dicomkit.server.parser import Parser

if TYPE_CHECKING:
    from dicomkit.server.http import Server

__all__ = ["Channel"]

_access = logging.getLogger("dicomkit.access")
_log = logging.getLogger(__name__)

HEADER_S = 10.0
"""How long the head of a request may take."""

IDLE_S = 75.0
"""How long a connection is kept between two requests."""

BODY_IDLE_S = 30.0
"""How long a body may pause."""

BODY_BYTES_PER_S = 500
"""How fast a body must be on the whole, after a start of ``BODY_IDLE_S``: drops would keep a connection for ever."""

STALLED_S = 60.0
"""How long a client may take nothing of its answer."""

LINGER_S = 2.0
"""How long the rest of a refused request is thrown away, so that the client reads the answer and meets no reset."""

PIECE_BYTES = 256 << 10
"""Most bytes that are handed on at once: what a client has not taken yet is in memory."""


DIRECT_BYTES = 64 << 10
"""From this size on a piece of known length is sent from where it is, and passes no buffer."""

WAIT_S = 0.5
"""How soon a thread that sends notices that its connection was given up."""

_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class _Answer(Task):
    """What both kinds of answers share: the access log, the headers for pages, the end of a connection.

    The log says which method was called and how it went. It has no path and no query: they name patients' studies.
    """

    sent_bytes = 0
    wrote_header = False

    def service(self) -> None:
        """Answer the request; whatever goes wrong ends with it."""
        begin = time.perf_counter()
        try:
            self.start()
            self.execute()
            self.finish()
        except ClientDisconnected:
            self.close_on_finish = True
        except Exception as exc:  # noqa: BLE001 - waitress would log it with the path, and with what its text holds
            _log.error("an answer broke off: %s", type(exc).__name__)
            self._fail()
        finally:
            milliseconds = (time.perf_counter() - begin) * 1e3
            _access.info("%s %s %.1f ms %d bytes", self.method_id, self.status[:3], milliseconds, self.sent_bytes)

    @property
    def method_id(self) -> str:
        """Which method of the API answered."""
        return "-"

    def _fail(self) -> None:
        self.set_close_on_finish()
        if self.wrote_header:
            return  # the answer ends before its length, which is how the client can tell
        body = orjson.dumps(to_body(Internal("internal error")))
        self.complete = True
        self.status = "500 Internal Server Error"
        self.response_headers = [("Content-Type", "application/json; charset=UTF-8"), ("Connection", "close")]
        self.content_length = len(body)
        self.write(body)

    def build_response_header(self) -> bytes:
        """The head of the answer."""
        admitted = self.request.admitted
        if admitted is not None:
            self.response_headers.extend(admitted.headers)
        if self.channel.server.is_stopping:
            self.set_close_on_finish()
        head: bytes = super().build_response_header()
        return head

    def _head(self) -> bytes:
        if not self.complete:
            raise RuntimeError("the application wrote before it had begun an answer")
        head = self.build_response_header()
        self.wrote_header = True
        return head

    def write(self, data: bytes) -> None:
        """Hand on a piece of the answer; waits while the client has not taken enough of those before."""
        self.sent_bytes += len(data)
        head = b"" if self.wrote_header else self._head()
        if self.content_length is not None and self.has_body:
            rest = memoryview(data)[: self.content_length - self.content_bytes_written]
            self.content_bytes_written += len(rest)
            if len(data) >= DIRECT_BYTES:
                self.channel.write_soon(head)
                self.channel.send_now(rest)
            else:
                # A small answer is one packet.
                self.channel.write_soon(head + rest)
            return
        self.channel.write_soon(head)
        if len(data) <= PIECE_BYTES:
            super().write(data)
            return
        for at in range(0, len(data), PIECE_BYTES):
            super().write(data[at : at + PIECE_BYTES])


class _EarlyAnswer(_Answer, ErrorTask):
    """The answer to a request that the application does not see."""

    def execute(self) -> None:
        """Write it, and end the connection."""
        self.channel.is_refused = True
        super().execute()


class _AppAnswer(_Answer, WSGITask):
    """The application's answer."""

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment, with who calls."""
        environ: dict[str, Any] = super().get_environment()
        environ[CALLER] = self.request.admitted.caller
        return environ

    @property
    def method_id(self) -> str:
        """Which method of the API answered."""
        return str((self.environ or {}).get(METHOD_ID, "-"))


class Channel(HTTPChannel):
    """A connection."""

    task_class = _AppAnswer
    error_task_class = _EarlyAnswer
    is_refused = False
    """Whether a request of the connection was answered without being read as a whole."""

    _lingers_until = 0.0
    _is_sending = False

    def __init__(self, server: Server, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        super().__init__(server, sock, addr, adj, map=map)
        self.parser_class = functools.partial(Parser, server.gate, server.spool)

    def is_overdue(self, now: float) -> bool:
        """Whether the client has had its time."""
        quiet: float = now - self.last_activity
        if self._lingers_until:
            return now > self._lingers_until
        if self.requests or self.total_outbufs_len:
            return bool(self.total_outbufs_len or self._is_sending) and quiet > STALLED_S
        request = self.request
        if request is None:
            is_new = self.last_activity == self.creation_time
            return quiet > (HEADER_S if is_new else IDLE_S)
        age: float = now - request.began
        if not request.headers_finished:
            return age > HEADER_S
        allowed: float = BODY_IDLE_S + request.body_bytes_received / BODY_BYTES_PER_S
        return quiet > BODY_IDLE_S or age > allowed

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a request nor an answer under way."""
        return not (self.requests or self.total_outbufs_len or self.request is not None or self._lingers_until)

    def send_now(self, data: memoryview) -> None:
        """Send from the thread of a request, behind what waits to be sent; raises when the client has gone.

        Only as long as the lock is held is the socket surely this connection's: the number of a closed one is given to
        the next.
        """
        self._is_sending = True
        try:
            while data:
                with self.outbuf_lock:
                    if not self.connected:
                        raise ClientDisconnected
                    if self.total_outbufs_len:
                        self._flush_exception(self._flush_some, do_close=False)
                    if not self.total_outbufs_len:
                        data = data[self._send_some(data) :]
                if data:
                    if self.total_outbufs_len:
                        self.server.pull_trigger()  # waitress sees there whether the client has gone
                    self._await_client()
        finally:
            self._is_sending = False

    def _send_some(self, data: memoryview) -> int:
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise self._gone() from exc
        self.last_activity = time.time()
        return int(sent)

    def _await_client(self) -> None:
        """Wait until the client takes more, or has gone; a while at most, as the connection may have been given up."""
        try:
            with _Selector() as selector:
                selector.register(self.socket, selectors.EVENT_WRITE)
                selector.select(WAIT_S)
        except (OSError, ValueError) as exc:  # closed meanwhile
            raise self._gone() from exc

    def _gone(self) -> ClientDisconnected:
        self.will_close = True
        self.server.pull_trigger()
        return ClientDisconnected()

    # The end of a connection with a request that was refused: its rest is read and thrown away.

    def handle_write(self) -> None:
        """Send what is there to be sent."""
        if self.is_refused and self.close_when_flushed and not self.total_outbufs_len and not self._lingers_until:
            self._linger()
        elif not self._lingers_until or self.will_close:
            super().handle_write()

    def _linger(self) -> None:
        self._lingers_until = time.time() + LINGER_S
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()

    def writable(self) -> bool:
        """Whether there is something to be sent."""
        return bool(self.will_close if self._lingers_until else super().writable())

    def readable(self) -> bool:
        """Whether more bytes are wanted."""
        return True if self._lingers_until and not self.will_close else bool(super().readable())

    def handle_read(self) -> None:
        """Read what the client has sent."""
        if not self._lingers_until:
            super().handle_read()
            return
        try:
            self.recv(self.adj.recv_bytes)  # closes the channel at the end
        except OSError:
            self.handle_close()
