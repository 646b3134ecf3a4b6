"""Everything of a home that is not BigQuery's, opened together and recovered together."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from dicomkit.engine.home import Home
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.blobs import SEGMENT_BYTES, BlobStore
from dicomkit.engine.persistence.database import CommitFailed, Connection, Database
from dicomkit.engine.persistence.index import Index
from dicomkit.engine.persistence.metadata import Metadata
from dicomkit.engine.persistence.outbox import Outbox

__all__ = ["Storage"]


class Storage:
    """Catalog, index, outbox and blobs of a home.

    Opening cuts off what the last process left uncommitted: bytes at the end of segments, blob files that no row
    names, and (SQLite's own work) transactions without their end.

    Parameters
    ----------
    home
        The folder.
    segment_bytes
        A shared blob file that has reached this size is sealed.

    Attributes
    ----------
    turn
        Lock of whoever changes what is stored: held from the first byte appended until the blobs, and the index's
        memory, know whether the catalog committed. Taken before the catalog's own lock.
    """

    def __init__(self, home: Home, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.home = home
        self.turn = threading.RLock()
        self.database = Database(home.catalog)
        try:
            with self.database.write() as connection:
                self.home_id = catalog.setting(connection, "home_id", uuid.uuid4().hex[:12])
                self.metadata = Metadata()
                self.index = Index(connection, self.metadata)
                self.outbox = Outbox(connection, self.home_id)
                catalog.delete_unused_segments(connection)
                self.blobs = BlobStore(home.blobs, catalog.segments(connection), segment_bytes=segment_bytes)
        except BaseException:
            self.database.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction of the catalog in which blobs may be appended: both are committed, or neither is."""
        with self.turn:
            try:
                with self.database.write() as connection:
                    yield connection
            except CommitFailed:
                self.blobs.abandon()
                raise
            except BaseException:
                self.blobs.rollback()
                raise
            self.blobs.commit()

    def close(self) -> None:
        """Close all files, when what is being written is committed."""
        with self.turn:
            self.blobs.close()
            self.database.close()
