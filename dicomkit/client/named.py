"""What every resource of the client has: a connection, a session, and a name that is its path."""

from __future__ import annotations

from abc import ABC, abstractmethod

from dicomkit.client.connection import Connection
from dicomkit.client.rest import Rest, quote_path

__all__ = ["NamedResource", "NamedStore"]


class NamedResource(ABC):
    """A dataset or a DICOM store on a server."""

    _connection: Connection
    _rest: Rest

    @property
    @abstractmethod
    def name(self) -> str:
        """The resource name."""

    @property
    def _path(self) -> str:
        """Path below the API's base URL."""
        return quote_path(self.name)


class NamedStore(NamedResource):
    """A DICOM store, which has a DICOMweb service."""

    @property
    def _web(self) -> str:
        """Path of the service below the API's base URL."""
        return f"{self._path}/dicomWeb"
