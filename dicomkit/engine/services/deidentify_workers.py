"""Instances rewritten in processes of their own, which may be killed: a file may make its reader run for hours."""

from __future__ import annotations

from concurrent.futures import Future

from dicomkit.engine.services.worker_pool import Answer, Failure, WorkerPool
from dicomkit.errors import DicomFormatError
from dicomkit.resources.deidentify_config import DeidentifyConfig

__all__ = ["MODULE", "DeidentifyWorkers"]

MODULE = "dicomkit.deid.worker"
"""What the processes run."""

MEMORY_BYTES = 6 << 30
"""Address space that a process may use, where the system can limit it."""

MOST_BYTES = 2 << 30
"""Largest instance, as it comes and as it goes."""


class DeidentifyWorkers(WorkerPool):
    """Processes that all de-identify in the same way.

    Parameters
    ----------
    config, key
        How, and the key of pseudonyms, dates and UIDs.
    preview
        Tell what would be done in place of doing it.
    workers
        Most processes.
    time_limit_s
        How long one instance may take.
    """

    def __init__(
        self, config: DeidentifyConfig, key: bytes, *, preview: bool, workers: int, time_limit_s: float
    ) -> None:
        super().__init__(
            MODULE,
            {"config": config.to_api(), "preview": preview},
            [key],
            error_of=_error_of,
            workers=workers,
            time_limit_s=time_limit_s,
            memory_bytes=MEMORY_BYTES,
            most_bytes=MOST_BYTES,
        )

    def begin(self, data: bytes) -> Future[Answer]:
        """Have an instance rewritten, or looked at; the result is the only block of the answer.

        The future raises ``DicomFormatError`` when that cannot be done, takes too long, or ends the process.
        """
        return self.submit({}, [data])


def _error_of(failure: Failure) -> Exception:
    match failure.why:
        case "time":
            return DicomFormatError(f"the instance took longer than {failure.limit_s:g} s")
        case "memory":
            return DicomFormatError("the instance needs more memory than there is for it")
        case "system" | "crash":
            return DicomFormatError("the instance ended the process that worked on it")
        case "defect":
            return DicomFormatError(f"the instance cannot be rewritten ({failure.error})")
