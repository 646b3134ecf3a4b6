"""A rendered frame, which a notebook shows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from dicomkit.errors import InvalidArgument
from dicomkit.whole_file import whole_file

__all__ = ["MEDIA", "Picture"]

MEDIA = {"image/png": ".png", "image/jpeg": ".jpg"}
"""Media types of rendered frames, and the suffixes of their files."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as PNG or JPEG.

    Attributes
    ----------
    data
        The file.
    media_type
        ``"image/png"`` or ``"image/jpeg"``.
    """

    data: bytes = field(repr=False)
    media_type: str

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a file, and return the file's path.

        Parameters
        ----------
        path
            The file, with the suffix of the media type. It has a patient's image: only its owner may read it.
        """
        target = Path(path).expanduser()
        suffixes = {".jpg", ".jpeg"} if self.media_type == "image/jpeg" else {".png"}
        if target.suffix.lower() not in suffixes:
            raise InvalidArgument(f"a file of {self.media_type} ends with {' or '.join(sorted(suffixes))}")
        with whole_file(target) as file:
            file.write(self.data)
        return target

    def _repr_png_(self) -> bytes | None:
        return self.data if self.media_type == "image/png" else None

    def _repr_jpeg_(self) -> bytes | None:
        return self.data if self.media_type == "image/jpeg" else None
