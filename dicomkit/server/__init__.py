"""``dicomkit serve``: the engine behind HTTP, for other processes and for viewers.

::

    principals   tokens, and whom each stands for
    gate         who is let in: host, origin, token, size; decided by the headers, before a body is read
    parser       a request as it arrives: what waitress reads, what it must not, and the gate
    channel      a connection: its time limits, and its requests handed to the application
    http         the server: its socket, its threads, and how it stops
    run          the command: home, server, signals

The server proper is waitress (docs/adr/0008).
"""

from __future__ import annotations

from dicomkit.server.gate import Gate, Hosts
from dicomkit.server.http import Server
from dicomkit.server.principals import Tokens, read_principals
from dicomkit.server.run import serve

__all__ = ["Gate", "Hosts", "Server", "Tokens", "read_principals", "serve"]
