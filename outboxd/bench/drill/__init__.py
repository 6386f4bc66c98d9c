"""The crash drill: load that never stops, faults at random, and a ledger that nothing can argue with.

    world     the private cluster, its database, tenants, queues, the business tables
    crew      api and worker processes that are killed and started again, by a printed seed
    producers SQL and HTTP producers, each with an append-only file: intent, then acknowledgement
    receiver  a webhook target that fails one call in five and writes down the others
    tasks     the handlers that the workers run
    faults    what is done to all of them, one list
    judge     what must hold when the faults have stopped and all is quiet

The drill only ever touches a cluster that it made itself.
"""
