"""What ``kling-effects bulk`` reads: folders, files, addresses and manifests, as rows.

``sources.read_rows`` gives the rows, ``checks.check_rows`` goes through them before anything is
sent, ``drawing.drawn`` hands them to a run, and ``row_writer.write_rows`` writes those that failed
as a manifest that can be run again.
"""
