"""The proof of "paid once": a batch is killed by SIGKILL again and again, and the ledger is read.

    python -m tests.crash --kills 500 --seed 7

Three processes. The emulator lives through a whole run. The batch, with its journal, is killed and
started again until every job has come to its end. This one kills, scripts faults meanwhile, and
after each kill compares what the journal says with what the emulator has charged for. The other two
are forked from it with everything imported, so that a start takes milliseconds.

A kill comes at a random time, the opening of the journal included, or at a step: before or after
the n-th move of a job to a state, or some milliseconds later. After some kills the batch is left
alone, and another one with a new journal follows.

What is not proved, because no client can have it: where used ids are accepted, a request that the
service takes up only after both lookups is paid twice. So the emulator here accepts at once and
answers late, and no fault hides a task from its lookup.

    python -m tests.crash --damage --rounds 60 --seed 7

Here the journal of a killed batch is damaged, or the next process that has it meets a full disk, a
second owner, a fork or a clock that is set. A user then goes on as the messages say, until every
job is finished or listed as uncertain; the command line is run as well. The last line counts what
the ledger and the journal say, and in ``wrong`` what the user was told, or was not, against
``messages`` and ``incidents``.
"""
