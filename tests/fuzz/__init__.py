"""Anything at all, given to what reads from outside: an answer or a ValueError that people can act on, never a traceback."""
