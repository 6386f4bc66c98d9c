"""Measure outboxd, its peers and the raw limit side by side on one server, with durability on.

    place    where: a private cluster, or a database of its own on the configured server
    host     what the figures are worth here: settings, versions, cores, load, disk
    measure  a figure and how it is taken; the list of all of them
    rounds   us, peer, raw, us, … ; medians of the rounds, ratios of medians
    report   the table, the JSON, the budgets

Absolute figures are printed and never compared between machines: a budget is a ratio, a count, or
a time that any two cores meet.
"""
