"""
The pytest plugin; ``pytest_assertlib``, beside this package, loads it for ``--assertlib`` only.
"""
