"""
Reads lists of invariants that a project keeps elsewhere, and turns them into drafts.
"""
