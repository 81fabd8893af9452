"""``python -m kling_effects_async`` is the command ``kling-effects``."""

import sys

from kling_effects_async.cli import main

# Render processes import this module again and must not run it.
if __name__ == "__main__":
    sys.exit(main())
