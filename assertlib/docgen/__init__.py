"""
Generate Markdown pages from the catalog: one per invariant, and an index.
"""
