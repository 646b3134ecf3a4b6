"""Short names for what most de-identifications want, in place of a whole config.

Source: Cloud Healthcare API v1, ``TagFilterProfile`` of ``DeidentifyConfig.dicom``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dicomkit.errors import InvalidArgument
from dicomkit.resources._json import quoted
from dicomkit.resources.deidentify_config import FILTER_PROFILES, DeidentifyConfig, DicomConfig

__all__ = ["PROFILES", "DeidentifyConfigLike", "deidentify_fields"]

PROFILES = {
    "basic": "ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE",
    "minimal": "MINIMAL_KEEP_LIST_PROFILE",
    "keep_all": "KEEP_ALL_PROFILE",
    "clean_text": "DEIDENTIFY_TAG_CONTENTS",
}
"""Short name -> ``filterProfile``."""

DeidentifyConfigLike = str | Mapping[str, Any] | DeidentifyConfig
"""A name of ``PROFILES``, a ``filterProfile``, ``gs://bucket/config.json``, the JSON of a config, or a config."""


def deidentify_fields(like: DeidentifyConfigLike) -> dict[str, Any]:
    """The fields of a request that say what is to be done: ``config``, or ``gcs_config_uri``.

    Raises
    ------
    InvalidArgument
        It is no name, or no config that the API allows.
    """
    if isinstance(like, DeidentifyConfig):
        return {"config": like}
    if not isinstance(like, str):
        return {"config": DeidentifyConfig.from_api(like)}
    if like.startswith("gs:"):
        return {"gcs_config_uri": like}
    profile = PROFILES.get(like, like)
    if profile not in FILTER_PROFILES[1:]:
        names = ", ".join(repr(name) for name in PROFILES)
        raise InvalidArgument(
            f"config must be one of {names}, a DeidentifyConfig, its JSON, or gs://bucket/config.json; "
            f"{quoted(like)} is none of them"
        )
    return {"config": DeidentifyConfig(dicom=DicomConfig(filter_profile=profile))}
