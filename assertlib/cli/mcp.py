"""
``assertlib mcp``.
"""

from __future__ import annotations

from ..errors import UsageError
from .common import OK, ProjectOption, TargetOption, command, configuration


@command
def mcp(target: TargetOption = None, project: ProjectOption = None) -> int:
    """
    Serve the invariants to coding agents over the Model Context Protocol, on stdin and stdout.

    Read-only.  Its tools show the invariants at stake in code or a diff, show or search for
    invariants, explain the newest violation, and list the gaps in the newest run.  Each invariant is
    also a resource.

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
