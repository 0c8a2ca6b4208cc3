"""
The catalog of invariants, the scan of the code that cites them, and the check that both agree.

TOML is parsed in this package only.
"""
