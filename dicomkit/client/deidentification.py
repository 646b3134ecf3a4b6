"""What a de-identification would do, as a frame.

The route is a dicomkit engine's own: Google's API has no preview.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dicomkit.client.connection import Connection
from dicomkit.errors import PartialResultsWarning, Unimplemented, warn
from dicomkit.frames.columns import DEIDENTIFY_PREVIEW
from dicomkit.frames.tables import table

__all__ = ["preview"]


def preview(connection: Connection, store: str, body: Mapping[str, Any]) -> pd.DataFrame:
    """What the de-identification that *body* asks for would do to each attribute; see ``Store.deidentify``.

    Parameters
    ----------
    store
        Path of the store below the API's base URL.
    """
    if connection.is_cloud:
        raise Unimplemented("Google's API has no preview; upload some instances to a folder's store and look there")
    answer = connection.own.json("POST", f"{store}:previewDeidentify", body=body, is_repeatable=True)
    rows = answer.get("rows", ())
    frame = table(
        DEIDENTIFY_PREVIEW, {column.name: [row.get(column.name) for row in rows] for column in DEIDENTIFY_PREVIEW}
    )
    looked, total, unreadable = (int(answer.get(name, 0)) for name in ("instances", "total", "unreadable"))
    frame.attrs.update(instances=looked, total=total)
    if unreadable:
        warn(
            f"{unreadable} of the {looked} instances that were looked at cannot be de-identified, and are not in the "
            "preview; op.errors() of the operation would say why",
            PartialResultsWarning,
        )
    return frame
