"""Clips made on this machine from the caller's own pictures, by classical image warping.

A preview for seeing that everything works, marked as such; not what Kling's model makes. This
package imports nothing else of the project, and the emulator imports this module alone. Rendering
needs the packages of the extra ``emulator``; only the render processes import them.
"""

from kling_effects_async.preview.errors import RenderError
from kling_effects_async.preview.quality import PREVIEW, TEST, ClipQuality
from kling_effects_async.preview.render_pool import RenderPool, can_render
from kling_effects_async.preview.stock import stock_clip

__all__ = [
    "PREVIEW",
    "TEST",
    "ClipQuality",
    "RenderError",
    "RenderPool",
    "can_render",
    "stock_clip",
]
