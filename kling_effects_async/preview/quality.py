"""How large, how smooth and how long a clip is."""

from attrs import frozen

__all__ = ["PREVIEW", "TEST", "ClipQuality"]


@frozen
class ClipQuality:
    """The longest side of a clip, its frames per second, and how long it is at most."""

    longest_side_px: int
    fps: int
    max_duration_s: float | None = None


# Five seconds of video take about 2 s to render at 640 px, and 8 s at 1280 px (measured).
PREVIEW = ClipQuality(longest_side_px=640, fps=24)
TEST = ClipQuality(longest_side_px=320, fps=12, max_duration_s=1.0)
