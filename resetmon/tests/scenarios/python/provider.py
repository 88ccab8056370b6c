"""A mock of an LLM provider that answers, or fails in the way that the model's name says.

    provider.py 127.0.0.1:9101 [FAULT]

The model is FAULT or FAULT:SECONDS, unless every request is to meet one fault. With `stream: true`
the answer comes as events.
"""

import asyncio
import os
import re
import resource
import signal
import socket
import struct
import sys

# Data of a request that is looked at before the rest of it is read.
START = 512
PIECES = 6
PAUSE = 0.05
COMPLETION = b'{"object":"chat.completion","choices":[{"message":{"content":"hello"}}]}'
PIECE = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"hello"}}]}\n\n'
# Faults of which the rest of the request is never read.
EARLY = ("throttle", "crash-mid")


def reset(writer):
    """Closes by a RST."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def whole(writer, status, body):
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % (status, len(body)) + body)
    await writer.drain()


async def stream(writer, pieces, pause, end):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head)
    for _ in range(pieces):
        writer.write(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
        await writer.drain()
        await asyncio.sleep(pause)
    if end:
        last = b"data: [DONE]\n\n"
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(last), last))
        await writer.drain()


async def serve(reader, writer):
    """The requests of one connection; a fault ends it."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
        body = await reader.readexactly(min(length, START))
        model = re.search(rb'"model": *"([^"]*)"', body)[1].decode()
        fault, _, seconds = (sys.argv[2] if len(sys.argv) > 2 else model).partition(":")
        seconds = float(seconds or 0)
        if fault not in EARLY:
            body += await reader.readexactly(length - len(body))
        streams = re.search(rb'"stream": *true', body)

        if fault == "reset-before":
            await asyncio.sleep(seconds)
            return reset(writer)
        if fault == "close-before":
            await asyncio.sleep(seconds)
            return writer.close()
        if fault in ("reset-mid", "close-mid"):
            await stream(writer, 2, 2 * PAUSE, end=False)
            return reset(writer) if fault == "reset-mid" else writer.close()
        if fault == "crash":
            os.kill(os.getpid(), signal.SIGABRT)
        if fault == "crash-mid":
            await stream(writer, 2, 2 * PAUSE, end=False)
            os.kill(os.getpid(), signal.SIGABRT)
        if fault == "throttle":
            # What is not read of the request makes the close a reset.
            await asyncio.sleep(2 * PAUSE)
            await whole(writer, b"429 Too Many Requests", b"{}")
            return writer.close()
        if fault == "slow":
            await asyncio.sleep(seconds)

        if streams:
            await stream(writer, PIECES, seconds if fault == "pieces" else PAUSE, end=True)
        else:
            await whole(writer, b"200 OK", COMPLETION)
        if fault in ("reset-after", "close-after"):
            await asyncio.sleep(seconds)
            return reset(writer) if fault == "reset-after" else writer.close()


async def connection(reader, writer):
    # At most this at once, so that what is not wanted yet stays with the kernel.
    writer.transport.max_size = 4096
    try:
        await serve(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    # A crash that is wanted leaves no core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    host, _, port = sys.argv[1].rpartition(":")
    server = await asyncio.start_server(connection, host, int(port), limit=4096)
    await server.serve_forever()


asyncio.run(main())
