"""A report of a run: frozen values in, one HTML page out that needs nothing else.

``write_report`` is the only part that writes; ``thumbnail`` and ``first_frame`` read a file.
"""

from kling_effects_async.report.run_report import ItemState, ReportItem, RunReport
from kling_effects_async.report.thumbnails import first_frame, thumbnail, thumbnail_px
from kling_effects_async.report.writing import relative_url, write_report

__all__ = [
    "ItemState",
    "ReportItem",
    "RunReport",
    "first_frame",
    "relative_url",
    "thumbnail",
    "thumbnail_px",
    "write_report",
]
