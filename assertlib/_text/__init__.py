"""
Text from outside, and text for terminals and pages.
"""
