"""How requests travel: to the engine in this process, to a dicomkit server, or to Google Cloud."""

from dicomkit.transport.engine_adapter import ORIGIN, EngineAdapter
from dicomkit.transport.refusing import RefusingAdapter
from dicomkit.transport.sessions import embedded_session, google_session, origin_of, token_session

__all__ = [
    "ORIGIN",
    "EngineAdapter",
    "RefusingAdapter",
    "embedded_session",
    "google_session",
    "origin_of",
    "token_session",
]
