"""
Real processes of a store under load and faults, and what their clients saw of it.
"""
