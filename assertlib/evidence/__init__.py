"""
Aggregation of recorded hits into verdicts.  Nothing outside this package decides a verdict.
"""
