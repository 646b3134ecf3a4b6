"""De-identification in a process of its own: what its settings and requests mean."""

from __future__ import annotations

import json
from typing import Any

from dicomkit.deid.deidentifier import Deidentifier
from dicomkit.errors import DicomFormatError, Unimplemented
from dicomkit.processes.worker import Answer, Worker
from dicomkit.resources.deidentify_config import DeidentifyConfig

__all__ = ["settle"]


def settle(settings: dict[str, Any], blocks: list[bytes]) -> Worker:
    """The function that rewrites by ``config`` and a key, the only block; or tells what it would do (``preview``)."""
    (key,) = blocks
    deidentifier = Deidentifier(DeidentifyConfig.from_api(settings["config"]), key=key)

    def answer(_request: dict[str, Any], blocks: list[bytes]) -> Answer:
        (data,) = blocks
        try:
            if settings["preview"]:
                return {}, [json.dumps(deidentifier.preview_of(data)).encode()]
            return {}, [deidentifier.instance(data)]
        except Unimplemented as error:
            raise DicomFormatError(str(error)) from error  # of this instance, and not of the operation

    return answer
