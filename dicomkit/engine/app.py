"""The engine as a WSGI application: a request goes through the route table, an error becomes Google's body."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

__all__ = ["Engine"]

Mode = Literal["friendly", "google"]


class Engine:
    """DICOM stores, their DICOMweb services and an embedded BigQuery in one folder, as a WSGI application.

    Parameters
    ----------
    home
        Folder that holds everything; made when missing, readable by its owner only.
    mode
        ``"friendly"`` takes the searches that DICOM PS3.18 allows beyond the Cloud Healthcare API;
        ``"google"`` refuses what the cloud would refuse.
    """

    def __init__(self, home: str | Path, *, mode: Mode = "friendly") -> None:
        self.mode: Mode = mode
        self.home_path = Path(home).expanduser()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        raise NotImplementedError

    def close(self) -> None:
        """Deliver what is waiting for a table, within a limit, and let go of the folder."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
