"""
The server: the answers as tools, and each invariant as a resource.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.types import ToolAnnotations

from ..catalog.config import Config
from ..errors import AssertlibError
from ..recording.session import VERSION
from .answers import Answers

P = ParamSpec("P")
_INSTRUCTIONS = (
    "Before you change code of this project, call `context` for the lines, the function or the diff:"
    " it returns the invariants at stake, with reasons. Call `why_failed` after a failed run."
    " Nothing here writes or runs anything."
)
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


def server_of(config: Config, target: str | None = None) -> MCPServer:
    """
    Return the server of a project.

    Args:
        config: The configuration of the project.
        target: The target; None for all.

    Raises:
        ConfigError: The target does not exist.
    """
    answers = Answers(config, target)
    server = MCPServer("assertlib", instructions=_INSTRUCTIONS, version=VERSION)
    for answer in (
        answers.context,
        answers.invariant,
        answers.search,
        answers.why_failed,
        answers.gaps,
    ):
        server.tool(annotations=_READS)(_explained(answer, ToolError))
    page = _explained(answers.invariant, ResourceError)

    # One resource for each invariant there is now, so that a client can list them.
    for identifier, entry in sorted(answers.entries().items()):
        resource = _fixed(page, identifier)
        server.resource(
            f"invariant://{identifier}",
            name=identifier,
            title=entry.invariant.title,
            mime_type="text/markdown",
        )(resource)

    @server.resource("invariant://{identifier}", name="invariant", mime_type="text/markdown")
    def invariant(identifier: str) -> str:
        """Return the page of an invariant that was added since the server started."""
        return page(identifier)

    return server


def _fixed(page: Callable[[str], str], identifier: str) -> Callable[[], str]:
    def resource() -> str:
        return page(identifier)

    return resource


def _explained(answer: Callable[P, str], as_error: Callable[[str], Exception]) -> Callable[P, str]:
    """Turn the errors of assertlib into those that the protocol passes on."""

    @wraps(answer)
    def call(*args: P.args, **kwargs: P.kwargs) -> str:
        try:
            return answer(*args, **kwargs)
        except AssertlibError as error:
            raise as_error(str(error)) from None

    return call
