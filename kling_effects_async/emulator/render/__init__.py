"""The emulator's clips: classical image warping on the caller's own pictures.

A preview for seeing that everything works, marked as such; not what Kling's model makes. Needs the
packages of the extra ``emulator``.
"""

from kling_effects_async.emulator.render.clip import PREVIEW, TEST, ClipQuality, render_clip
from kling_effects_async.emulator.render.picture import RenderError

__all__ = ["PREVIEW", "TEST", "ClipQuality", "RenderError", "render_clip"]
