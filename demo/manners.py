"""How an answer comes: at once, never, in drops, or broken off."""

import asyncio
import socket
import struct
from asyncio import StreamWriter

LONG_SECONDS, DROP_SECONDS = 3600.0, 0.05
# Closing without waiting makes the kernel send a reset.
ABRUPT = struct.pack("ii", 1, 0)


async def deliver(writer: StreamWriter, data: bytes, manner: str) -> None:
    """Send an answer in a manner of `demo.messages.Reply`."""
    if manner == "hang":
        await asyncio.sleep(LONG_SECONDS)
    elif manner == "drip":
        for byte in data:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(DROP_SECONDS)
    elif manner == "reset":
        line: socket.socket = writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPT)
        writer.transport.abort()
    else:
        writer.write(data)
        await writer.drain()
