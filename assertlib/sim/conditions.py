"""
Conditions of the simulated network.
"""

from __future__ import annotations

__all__ = ["KERNEL_BUFFER", "Conditions"]

KERNEL_BUFFER = 65536
"""Number of bytes in transit or unread beyond which the writer buffers the rest."""


class Conditions:
    """
    Network conditions.

    Attributes:
        latency: Shortest and longest latency of a message, in seconds.
        loss: Probability that a packet is lost; a stream retransmits it.
        retransmit: Seconds until a retransmission.
        duplication: Probability that a datagram or a message arrives twice.
        fragmentation: Probability that a write to a stream arrives in two pieces.
        buffer: Bytes buffered by the kernel before the writer has to buffer the rest.
        high_water: Bytes buffered by a writer before it has to wait, on new connections.
    """

    __slots__ = (
        "buffer",
        "duplication",
        "fragmentation",
        "high_water",
        "latency",
        "loss",
        "retransmit",
    )

    def __init__(self) -> None:
        self.latency = (0.0005, 0.005)
        self.loss = 0.0
        self.retransmit = 0.2
        self.duplication = 0.0
        self.fragmentation = 0.0
        self.buffer = self.high_water = KERNEL_BUFFER
