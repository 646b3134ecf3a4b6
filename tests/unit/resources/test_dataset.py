"""Rules of the dataset resource."""

from __future__ import annotations

from zoneinfo import ZoneInfoNotFoundError

import pytest

from dicomkit.errors import InvalidArgument
from dicomkit.resources import dataset
from dicomkit.resources.dataset import Dataset

NAME = "projects/p/locations/l/datasets/d"


def test_a_dataset_is_read_and_written() -> None:
    """Name, time zone, key, zone flags and what we do not know."""
    wire = {
        "name": NAME,
        "timeZone": "America/New_York",
        "encryptionSpec": {"kmsKeyName": "projects/p/locations/l/keyRings/r/cryptoKeys/k"},
        "satisfiesPzi": True,
        "satisfiesPzs": False,
        "future": [1],
    }
    assert Dataset.from_api(wire).to_api() == wire
    assert Dataset(name=NAME, time_zone="").to_api(omit_defaults=True) == {"name": NAME}


@pytest.mark.parametrize("name", ["d", NAME + "/dicomStores/s", NAME + "\n", "projects/p/locations/l/datasets/.."])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    """The path of the error is the field."""
    with pytest.raises(InvalidArgument, match="^name: "):
        Dataset(name=name)


@pytest.mark.parametrize(
    "zone",
    ["Mars/Olympus", "America", "new york", "../../etc/passwd", "/etc/localtime", "UTC\x00", "UTC\n", "x" * 5000, "é"],
)
def test_a_time_zone_that_is_none_is_refused(zone: str) -> None:
    """Must be a valid IANA time zone name, or empty; a path is none."""
    with pytest.raises(InvalidArgument, match="^timeZone: must be an IANA time zone name"):
        Dataset(time_zone=zone)


@pytest.mark.parametrize("zone", [5, [], {}, True])
def test_a_time_zone_of_another_type_is_refused(zone: object) -> None:
    """Not a TypeError."""
    with pytest.raises(InvalidArgument, match="^timeZone: must be a string"):
        Dataset.from_api({"timeZone": zone})


def test_without_a_time_zone_database_names_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that knows no zone, not even UTC, must still read the dataset of a server."""

    def no_database(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr(dataset, "ZoneInfo", no_database)
    assert Dataset(time_zone="America/New_York").time_zone == "America/New_York"
