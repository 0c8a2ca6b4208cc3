"""
The catalog as pages: one per invariant, and an index.
"""
