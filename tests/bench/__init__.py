"""The benchmark: what the client costs on loopback, beside plain aiohttp doing the same work.

    nox -s bench                               every row, about seven minutes
    nox -s bench -- --rows a,b --json now.json
    nox -s bench -- --compare before.json
    nox -s bench -- --profile                  where the time of one poll goes

- The server runs in a process of its own, and so does every client that is measured: a fresh one
  each, so that no figure carries the memory or the warm caches of the one before.
- Both sides ask the same server for the same tasks, with the same lengths in the same order. The
  server tells when each task ended, by the clock that all processes of a machine share.
- Before it is measured each side runs one task that ends at once, with a client of its own: what
  is imported or made at first use is part of the import and not of the work.
- Nothing passes or fails here. Bars are printed beside the figures, and ratios are what to judge
  by, because a busy machine slows both sides alike.
"""
