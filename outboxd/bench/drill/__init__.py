"""The crash drill: load that never stops, faults at random, and a ledger that nothing can argue with.

    stage     where it runs: a private `pair` of servers, or one database that it made on a server of yours
    world     the database, its marker, tenants, queues, the business tables
    crew      api and worker processes that are killed and started again, by a printed seed
    wires     what stands between each of them and the server, and can be cut
    load      producers over SQL and HTTP (intent, then acknowledgement), a `puller`, `readers` of the feed
    receiver  a webhook target that fails one call in five and writes down the others
    tasks     the handlers that the workers run, good and sick
    faults    the list of what is done to all of them: `hits`, and `blows` to a whole server
    watcher   C1, every second
    judge     what must hold when the faults have stopped and all is quiet; `figures` are told beside it

The drill only ever touches a cluster or a database that it made itself: every connection asks for its marker.
"""
