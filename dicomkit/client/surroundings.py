"""What is around a dataset: the datasets of its location, and the locations of its project.

Source: Cloud Healthcare API v1, ``projects.locations`` and ``projects.locations.datasets``.
"""

from __future__ import annotations

import pandas as pd

from dicomkit.client.named import NamedResource
from dicomkit.client.paging import resources
from dicomkit.client.rest import quote_path
from dicomkit.frames.columns import DATASETS, LOCATIONS
from dicomkit.frames.tables import table
from dicomkit.names import DatasetName
from dicomkit.resources import Dataset

__all__ = ["Surroundings"]


class Surroundings(NamedResource):
    """What a dataset tells of its neighbours."""

    _name: DatasetName

    def datasets(self) -> pd.DataFrame:
        """The datasets of this location, this one among them: one row each, columns ``frames.DATASETS``.

        ``dicomkit.connect`` opens another one, by its name.

        Notes
        -----
        Healthcare API ``datasets.list``.
        """
        path = f"{quote_path(self._name.parent)}/datasets"
        found = [Dataset.from_api(each) for each in resources(self._rest, path, "datasets")]
        return table(
            DATASETS,
            {
                "id": [(each.name or "").rpartition("/")[2] for each in found],
                "name": [each.name for each in found],
                "time_zone": [each.time_zone or "UTC" for each in found],
            },
        )

    def locations(self) -> pd.DataFrame:
        """The locations where this project can have datasets: one row each, columns ``frames.LOCATIONS``.

        Notes
        -----
        Healthcare API ``locations.list``. A folder has the one location ``local``, and those that its datasets name.
        """
        path = f"{quote_path(f'projects/{self._name.project}')}/locations"
        found = list(resources(self._rest, path, "locations"))
        return table(
            LOCATIONS,
            {
                "id": [each.get("locationId") for each in found],
                "name": [each.get("name") for each in found],
                "display_name": [each.get("displayName") for each in found],
            },
        )
