"""
The assertion functions under the public names, and what a call costs.
"""
