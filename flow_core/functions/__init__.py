"""Python functions as tasks: how a call travels, what comes back, and many calls over a few workers."""
