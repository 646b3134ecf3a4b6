"""What is logged of a defect: where it was met, and not its text, which can hold values of patients."""

from __future__ import annotations

__all__ = ["place_of"]


def place_of(exc: BaseException) -> str:
    """Function and line that *exc* was raised in."""
    frame = exc.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame is not None else "?"
