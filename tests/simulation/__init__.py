"""A deterministic simulator: a client, its journal and a model of the service, from a seed.

    python -m tests.simulation                      every crash point of one job, and random ones
    python -m tests.simulation --replay '{...}'     one script again, as a failing run prints it
    python -m tests.simulation --planted            rules that are broken on purpose are found

Everything runs in one process, on a loop whose time is a number and whose order of callbacks comes
from a seed. A **life** is one process of the client, from its start to its death or its end. At
every point where something leaves the process (a commit, a byte to the service, a step at a file)
it may die; then a new life begins on what the disk holds, while the service goes on with what it
got.

    script.py    what happens: the service's rules, faults, deaths and cancellations; frozen values
    loop.py      the event loop
    world.py     time, points and the events outside of the client
    service.py   the model of the service, which keeps the books
    wire.py      requests and answers between the two, and what goes wrong with them
    clips.py     the model of the storage that clips are downloaded from, and what goes wrong there
    disk.py      the journal as a model, and as SQLite's real file
    folder.py    the folder of clips, in real files
    referee.py   what must hold after each step, and at the end
    run.py       the lives of one script
    search.py    exhaustive scripts, random ones, and smaller ones that still fail
    planted.py   the rules that are broken on purpose
"""
