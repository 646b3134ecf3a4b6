"""What every server of a comparison is spoken to with: one kind of connection, one kind of STOW-RS request."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence

import requests

__all__ = ["free_port", "plain_session", "stow"]


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def plain_session(token: str | None = None) -> requests.Session:
    """One keep-alive connection that no environment changes."""
    session = requests.Session()
    session.trust_env = False
    if token is not None:
        session.headers["Authorization"] = f"Bearer {token}"
    return session


def stow(session: requests.Session, web: str, bodies: Sequence[bytes]) -> None:
    """Store a batch in one STOW-RS request, and check that each instance was new and taken.

    Parameters
    ----------
    web
        Root of the DICOMweb service.
    """
    boundary = secrets.token_hex(16)
    pieces: list[bytes] = []
    for body in bodies:
        pieces += [f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(), body, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    answer = session.post(
        f"{web}/studies",
        data=b"".join(pieces),
        headers={
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        },
        timeout=300,
    )
    answer.raise_for_status()
    result = answer.json()
    stored = len(result.get("00081199", {}).get("Value", ()))
    failed = result.get("00081198", {}).get("Value", ())  # Orthanc has it, empty, when all went well
    if stored != len(bodies) or failed:
        raise AssertionError(f"{stored} of {len(bodies)} instances were stored, {len(failed)} failed")
