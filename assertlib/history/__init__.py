"""
What clients saw, and whether a correct store could have shown them that.
"""
