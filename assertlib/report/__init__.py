"""
Report formats: one module per format, all with the same content.
"""
