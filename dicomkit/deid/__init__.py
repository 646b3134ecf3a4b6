"""De-identification of instances: the rules of PS3.15 Annex E and of the API's ``DeidentifyConfig``, without a store.

``rules`` decides what happens to an attribute, ``deidentifier`` does it, ``preview`` only tells it.
"""

from __future__ import annotations

from dicomkit.deid.deidentifier import Deidentifier, preview
from dicomkit.deid.steps import PreviewRow
from dicomkit.deid.support import check_supported
from dicomkit.deid.uids import UidMap

__all__ = ["Deidentifier", "PreviewRow", "UidMap", "check_supported", "preview"]
