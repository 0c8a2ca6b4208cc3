"""
What must hold, where code names it, and whether the two agree.

Nothing outside this package parses TOML.
"""
