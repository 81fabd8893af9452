"""What a walk through a picture's parts found."""

from __future__ import annotations

from attrs import evolve, frozen

__all__ = ["CutOff", "Damage", "Layout", "Part", "Span"]


class Damage(Exception):
    """The picture's data are not whole; the text says how, as a part of a sentence."""


class CutOff(Damage):
    """The file ends before the picture does."""

    def __init__(self) -> None:
        super().__init__("its end is missing, as after a download or a copy that was cut off")


@frozen
class Span:
    """The bytes of a file from ``start`` up to, and without, ``end``."""

    start: int
    end: int


@frozen
class Part:
    """A chunk of a PNG, or a segment of a JPEG.

    Attributes:
        kind: a chunk's type, such as ``b"IHDR"``; a segment's marker, such as ``b"\\xda"``.
        span: where it is, its length and checksum included.
        head: the first bytes of its content, for the kinds that matter.
        is_intact: its checksum, where it has one, is right.
    """

    kind: bytes
    span: Span
    head: bytes
    is_intact: bool = True


@frozen(kw_only=True)
class Layout:
    """What is known of a picture without decoding it.

    Attributes:
        width_px, height_px: 0 where the walk did not come that far.
        orientation: EXIF's, 1 to 8; 1 is upright.
        has_pixels: the walk came to the data of the pixels.
        essential: what a decoder needs, in order; the rest is metadata.
        colour_type: a PNG's.
        has_palette: a PNG's palette has come.
        profile: where a PNG has its colour profile.
        damage: why the picture is not whole; ``None`` if it is.
    """

    width_px: int = 0
    height_px: int = 0
    orientation: int = 1
    is_animated: bool = False
    has_pixels: bool = False
    essential: tuple[Span, ...] = ()
    colour_type: int = 0
    has_palette: bool = False
    profile: Span | None = None
    damage: str | None = None

    @property
    def has_header(self) -> bool:
        """Its size is known."""
        return self.width_px > 0 and self.height_px > 0

    def check_complete(self) -> None:
        """Raises ``Damage`` where the walk came to the end, but something is missing."""
        if not self.has_pixels:
            raise Damage("it has no pixels")

    def with_essential(self, span: Span) -> Layout:
        """The same, and this is essential; joined with the last one where they touch."""
        if self.essential and self.essential[-1].end == span.start:
            joined = Span(self.essential[-1].start, span.end)
            return evolve(self, essential=(*self.essential[:-1], joined))
        return evolve(self, essential=(*self.essential, span))
