"""
Histories of client observations, and their validation against models of a correct store.
"""
