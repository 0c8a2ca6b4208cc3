"""
Judged runs, written down: one module per format, all with the same content.
"""
