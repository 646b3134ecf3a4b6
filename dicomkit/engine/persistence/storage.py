"""Everything of a home that is not BigQuery's, opened together and recovered together."""

from __future__ import annotations

import uuid

from dicomkit.engine.home import Home
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.blobs import BlobStore
from dicomkit.engine.persistence.database import Database
from dicomkit.engine.persistence.index import Index
from dicomkit.engine.persistence.metadata import Metadata
from dicomkit.engine.persistence.outbox import Outbox

__all__ = ["Storage"]


class Storage:
    """Catalog, index, outbox and blobs of a home.

    Opening cuts off what the last process left uncommitted: bytes at the end of segments, blob files that no row
    names, and (SQLite's own work) transactions without their end.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.database = Database(home.catalog)
        try:
            with self.database.write() as connection:
                self.home_id = catalog.setting(connection, "home_id", uuid.uuid4().hex[:12])
                self.metadata = Metadata()
                self.index = Index(connection, self.metadata)
                self.outbox = Outbox(connection, self.home_id)
                catalog.delete_unused_segments(connection)
                self.blobs = BlobStore(home.blobs, catalog.segments(connection))
        except BaseException:
            self.database.close()
            raise

    def close(self) -> None:
        """Close all files."""
        self.blobs.close()
        self.database.close()
