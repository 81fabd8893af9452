"""The soak test: clients work for minutes or hours against a service that fails all the time.

    python -m tests.soak --minutes 10

Two processes. The emulator fails in mixed ways without a pause. This one has a client with a
journal, which is closed in the midst of its work and opened again now and then; some calls are
cancelled. After some openings a part ends: what is unfinished is finished, the journal is
compared with the emulator's ledger, and both begin anew, so that neither grows with the run.

At the end: what was paid twice or lost, what is left in this process that was not there before, and
how its memory grew with the number of tasks.
"""
