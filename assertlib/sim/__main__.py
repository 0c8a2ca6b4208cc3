"""
``python -m assertlib.sim``: a worker, which campaigns start.
"""

import sys

from .worker import main

sys.exit(main())
