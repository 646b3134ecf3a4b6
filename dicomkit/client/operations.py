"""The long-running operations of a dataset as a frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from dicomkit.client.operation import method_of, state_of
from dicomkit.frames.columns import OPERATIONS
from dicomkit.frames.tables import table
from dicomkit.resources import Operation

__all__ = ["operations_frame"]


def operations_frame(listed: Iterable[Any]) -> pd.DataFrame:
    """One row for each operation in its JSON form; see ``Dataset.operations``."""
    operations = [Operation.from_api(each) for each in listed]
    counters = [each.counters for each in operations]
    metadata = [each.metadata or {} for each in operations]
    return table(
        OPERATIONS,
        {
            "id": [(each.name or "").rpartition("/")[2] for each in operations],
            "method": [method_of(each) or None for each in operations],
            "state": [state_of(each) for each in operations],
            **{name: [counter.get(name, 0) for counter in counters] for name in ("success", "failure", "pending")},
            "create_time": [fields.get("createTime") for fields in metadata],
            "end_time": [fields.get("endTime") for fields in metadata],
            "error": [None if (failure := each.failure()) is None else str(failure) for each in operations],
        },
    )
