"""The Model Context Protocol as far as tools go, apart from how messages travel.

messages   JSON-RPC: what came in, checked; what goes out
arguments  what a tool was given, read with its limits
tools      a tool and its schema, and the conversation over a table of them
reading    the tools that read memory, which both servers of ours have
"""
