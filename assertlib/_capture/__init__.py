"""
What a false condition looked like: its caller, its source, and the values in it.
"""
