"""
Lets bare `pytest` import `tests` as a package, as `python -m pytest` does.

At the end of the path: `make sanitize` puts another build of assertlib before it.
"""

import os
import sys

_ROOT = os.path.dirname(os.path.abspath(__file__))
if _ROOT not in sys.path:
    sys.path.append(_ROOT)
