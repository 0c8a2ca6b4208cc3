"""
``assertlib mcp``.
"""

from __future__ import annotations

from ..errors import UsageError
from .common import OK, ProjectOption, TargetOption, command, configuration


@command
def mcp(target: TargetOption = None, project: ProjectOption = None) -> int:
    """
    Serve the invariants to coding agents, by the Model Context Protocol on stdin and stdout.

    Read-only: tools for the context of code or of a diff, an invariant, a search, the newest
    violation and the gaps of the newest run, and a resource for each invariant.

    Example: assertlib mcp --project path/to/store
    """
    try:
        from ..mcp.server import server_of
    except ModuleNotFoundError as error:
        # A missing module of assertlib itself is no missing extra, and keeps its traceback.
        if error.name is None or error.name.startswith("assertlib"):
            raise
        raise UsageError(
            f"assertlib mcp needs {error.name}: pip install 'assertlib-sdk[mcp]'"
        ) from None
    server_of(configuration(project), target).run("stdio")
    return OK
