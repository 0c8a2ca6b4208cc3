"""
Knowledge about promises: which of them a change touches, who still knows them, and what a person
who leaves takes along.
"""
