"""Requests for a de-identification.

Source: Cloud Healthcare API v1, ``DeidentifyDicomStoreRequest`` and ``DeidentifyDatasetRequest`` (discovery document,
revision 20261013): only one of ``config`` and ``gcsConfigUri`` may be given. What a request without both of them means
is not documented; here one has to say what is to be done.
"""

from __future__ import annotations

from dataclasses import dataclass

from dicomkit.names import DatasetName, DicomStoreName
from dicomkit.resources._json import invalid, located, text
from dicomkit.resources._wire import Resource, one, wire
from dicomkit.resources.deidentify_config import DeidentifyConfig
from dicomkit.resources.filter_config import DicomFilterConfig
from dicomkit.resources.gcs import GcsUri, parse_gcs_uri

__all__ = ["DeidentifyDatasetRequest", "DeidentifyDicomStoreRequest"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Configured(Resource):
    """What the two requests share."""

    config: DeidentifyConfig | None = one(DeidentifyConfig)  # noqa: RUF009 - it is a dataclass field
    gcs_config_uri: str | None = wire(text, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` unless exactly one place says what is to be done."""
        if self.config is not None and self.gcs_config_uri:
            raise invalid("must not be set together with config; leave one out", path="gcsConfigUri")
        if self.config is None and not self.gcs_config_uri:
            raise invalid(
                "is required, or else gcsConfigUri; write {} to keep all attributes and replace the UIDs", path="config"
            )
        if self.gcs_config_uri:
            parse_gcs_uri(self.gcs_config_uri, path="gcsConfigUri")

    @property
    def config_uri(self) -> GcsUri | None:
        """The object that holds the config as JSON; ``None`` when the request itself holds it."""
        return parse_gcs_uri(self.gcs_config_uri, path="gcsConfigUri") if self.gcs_config_uri else None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DeidentifyDicomStoreRequest(_Configured):
    """Body of ``dicomStores.deidentify``.

    Parameters
    ----------
    destination_store
        Full name of a store that exists, in the source's location.
    config
        What is to be done.
    gcs_config_uri
        ``gs://{bucket}/{object}`` with the config as JSON, in place of *config*.
    filter_config
        Which instances; all of the store without one.
    """

    destination_store: str | None = wire(text, default="")
    filter_config: DicomFilterConfig | None = one(DicomFilterConfig)  # noqa: RUF009

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a destination that is no store's name."""
        if self.destination_store:
            with located("destinationStore"):
                DicomStoreName.parse(self.destination_store)
        # `super` without arguments does not know the class that slots made anew.
        super(DeidentifyDicomStoreRequest, self).validate()

    @property
    def destination(self) -> DicomStoreName:
        """The store that is written to; ``InvalidArgument`` when none is named."""
        if not self.destination_store:
            raise invalid(
                "is required; write projects/{p}/locations/{l}/datasets/{d}/dicomStores/{store}",
                path="destinationStore",
            )
        return DicomStoreName.parse(self.destination_store)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DeidentifyDatasetRequest(_Configured):
    """Body of ``datasets.deidentify``.

    Parameters
    ----------
    destination_dataset
        Full name of a dataset that does not exist yet, in the source's location. Required.
    config, gcs_config_uri
        As in :class:`DeidentifyDicomStoreRequest`.
    """

    destination_dataset: str | None = wire(text, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a destination that is no dataset's name."""
        if not self.destination_dataset:
            raise invalid("is required; write projects/{p}/locations/{l}/datasets/{dataset}", path="destinationDataset")
        with located("destinationDataset"):
            DatasetName.parse(self.destination_dataset)
        super(DeidentifyDatasetRequest, self).validate()

    @property
    def destination(self) -> DatasetName:
        """The dataset that is made."""
        return DatasetName.parse(self.destination_dataset or "")
