"""
What the hits of runs amount to.  Nothing outside this package decides a verdict.
"""
