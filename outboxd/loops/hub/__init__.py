"""How one process serves any number of subscribers of its projects' feeds.

    hint, own sequencer ─┐                            ┌─▶ subscriber, at its own number ─▶ client
    heal, every 2 s ─────┴─▶ tail (one a project) ────┼─▶ subscriber
                             one narrow read, then    └─▶ subscriber ── behind the ring ─▶ windows
                             the events, into a ring                                       of the table

Numbers are dense, so a subscriber is a number and a filter: what follows its number is in the ring, or
is read from the table in windows, and no seam is to be minded between the two. A tail without
subscribers ends; nobody's feed is read for nobody. Frames are encoded once for all.

What is promised is the heal: one statement for all tails says where each feed stands, and what is
behind is read. Hints only make it fast. A row that does not follow the one before it is never passed
over: the streams of that tail end, are counted, and go on elsewhere.

Weakness: a reader that was live and whose place in the ring was overwritten is told that it is slow, and
comes again. So that a burst does not do this to everybody, a tail waits for those who are still
taking rows; who takes none for a second is not waited for, and nobody for more than ten.
"""
