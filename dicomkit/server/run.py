"""``dicomkit serve``: a home, a port, and a process that ends well."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

from dicomkit.engine.app import Engine
from dicomkit.errors import SetupError
from dicomkit.server.gate import Gate, Hosts, check_origin
from dicomkit.server.http import THREADS, Server
from dicomkit.server.principals import Tokens, check_token, read_principals

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["for_many_threads", "serve"]

_log = logging.getLogger(__name__)

SWITCH_S = 0.0002
"""How long a thread waits for Python while another one computes. By default it is 5 ms, and a search beside an upload
waits several times: at each call of SQLite or of the socket it lets Python go."""


def serve(
    home: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    principals: Path | None = None,
    mode: Literal["friendly", "google"] = "friendly",
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
    credentials: Credentials | None = None,
    threads: int = THREADS,
    say: Callable[[str], None] = print,
) -> None:
    """Serve a home until the process is told to stop.

    The first SIGINT or SIGTERM ends it well: no new connection is taken, requests that were begun are answered, what
    waits for a table is delivered within the engine's limit. The second one ends it at once; what was acknowledged is
    on disk by then, too.

    Parameters
    ----------
    home
        The folder; made if missing.
    host, port
        Where to listen; port 0 takes any that is free. Other hosts than loopback want a token of their own.
    token
        The owner's; one is made, and said once, when it is left out.
    principals
        File with the tokens of others (``server.principals``).
    mode
        As for ``dicomkit.connect``.
    origins
        Pages of these origins may use the server from a browser.
    hosts
        Further names by which it may be called.
    credentials
        Of google-auth, for buckets, topics and streamed tables of Google Cloud.
    threads
        Requests that are answered at a time.
    say
        Gets the lines that a person starts with.

    Raises
    ------
    SetupError
        It would be open to a network without a token, or cannot listen there.
    Unavailable
        Another process has the folder open.
    """
    names = Hosts(host, hosts)
    if not names.is_loopback and token is None:
        raise SetupError(
            f"{host!r:.80} can be reached from other machines, and so wants a token that was chosen: give --token, or "
            "set DICOMKIT_TOKEN"
        )
    owner = check_token(token) if token is not None else secrets.token_urlsafe(32)
    tokens = Tokens(owner, read_principals(principals) if principals is not None else None)
    gate = Gate(tokens, hosts=names, origins=[check_origin(origin) for origin in origins])
    with Engine(home, mode=mode, credentials=credentials) as engine:
        server = Server(
            engine,
            gate=gate,
            spool=engine.home.tmp,
            host=host,
            port=port,
            threads=threads,
            ready=engine.home.catalog.exists,
        )
        engine.home.advertise(server.url)
        with _until_told(server), for_many_threads():
            say(f"dicomkit serves {str(engine.home.path)!r} at {server.url}")
            if not names.is_loopback:
                say("Warning: other machines can reach it, and HTTP is not encrypted; put a proxy with TLS in front.")
            say("Connect to it from Python with")
            say(f'    dicomkit.connect("{server.url}", token={_shown(owner, is_made=token is None)})')
            say("Ctrl-C stops it.")
            server.run()
            engine.home.advertise("")
            # The handlers stay until the engine is closed, so that a second signal ends that, too.
            engine.close()


def _shown(token: str, *, is_made: bool) -> str:
    """What is printed for a token: one that was given is known to who gave it, and stays out of logs."""
    return f'"{token}"' if is_made else "..."


@contextmanager
def for_many_threads() -> Iterator[None]:
    """No request waits long for another one that computes, nor for Python's collector to look at all there is.

    What is there at the start stays, and so need not be looked at: that alone took 30 ms at a time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)


@contextmanager
def _until_told(server: Server) -> Iterator[None]:
    """SIGINT and SIGTERM stop *server*; the second one ends the process."""

    def handle(number: int, frame: FrameType | None) -> None:
        if server.is_stopping:
            sys.stderr.write("dicomkit: stopped at once\n")
            os._exit(128 + number)
        server.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
