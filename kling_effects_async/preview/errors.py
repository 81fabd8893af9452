"""What goes wrong with a picture."""

__all__ = ["RenderError"]


class RenderError(ValueError):
    """No clip can be made of these pictures; choose others."""
