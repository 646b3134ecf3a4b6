"""Pictures of frames: one function each, ``plot_x(frame, ax=None) -> Axes``.

Every picture says how many rows it is made of and how many it had to leave out. With ``ax`` it is drawn there; without,
on a figure of its own, which a notebook shows when the returned axes end a cell. Nothing is kept in pyplot.
"""

from dicomkit.plots.cohort import plot_ages, plot_modalities, plot_scanners, plot_timeline
from dicomkit.plots.pixels import plot_contact_sheet, plot_slice_gaps
from dicomkit.plots.quality import plot_deidentify_actions, plot_ecdf, plot_missing

__all__ = [
    "plot_ages",
    "plot_contact_sheet",
    "plot_deidentify_actions",
    "plot_ecdf",
    "plot_missing",
    "plot_modalities",
    "plot_scanners",
    "plot_slice_gaps",
    "plot_timeline",
]
