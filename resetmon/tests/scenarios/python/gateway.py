"""An LLM gateway as they are written in Python: uvicorn and Starlette towards clients, httpx's
pools of connections towards providers.

    gateway.py SETTINGS.json

`routes` is a list of listeners, each with the provider that it leads to:

    {"listen": "127.0.0.1:8000", "provider": "http://127.0.0.1:9000", "fresh": false,
     "patience": 60, "keep_alive": 75, "limit": 1000000, "certificate": "…", "key": "…", "ca": "…"}

Requests are passed on with method, path and body. An answer is passed on while it comes; where a
completion is asked for without `"stream": true`, once it is whole. Errors of a provider become the
statuses that LLM proxies give; in a stream of events, which has its status, another event; in
another answer, its end.
"""

import asyncio
import json
import sys

import httpx
import uvicorn
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect, Request

EVENTS = "text/event-stream"


def status_of(error):
    if isinstance(error, httpx.TimeoutException):
        return 504
    return 503 if isinstance(error, httpx.ConnectError) else 502


def described(error):
    return {"error": {"type": type(error).__name__, "message": str(error)}}


def is_completion(body):
    """Whether the answer is wanted in one piece."""
    try:
        return not json.loads(body).get("stream")
    except (ValueError, AttributeError):
        return False


async def read(answer, queue):
    """Puts the pieces of the answer into the queue, and an error or `None` at its end."""
    end = None
    try:
        async for piece in answer.aiter_raw():
            await queue.put(piece)
    except httpx.HTTPError as error:
        end = error
    finally:
        await answer.aclose()
    await queue.put(end)


async def pieces(answer):
    """The pieces of the answer, until the client leaves.

    They are read by a task of its own, which is canceled once: httpcore cannot close a connection
    where every step of closing is canceled too, as in the scope of a client that has left.
    """
    queue = asyncio.Queue(maxsize=16)
    reader = asyncio.create_task(read(answer, queue))
    try:
        while isinstance(piece := await queue.get(), bytes):
            yield piece
        if piece is not None and EVENTS in answer.headers.get("content-type", ""):
            yield b"data: " + json.dumps(described(piece)).encode() + b"\n\n"
        elif piece is not None:
            raise piece
    finally:
        reader.cancel()


class Route:
    """The application behind one listener."""

    def __init__(self, settings):
        self.provider = settings["provider"]
        self.limit = settings.get("limit", 1 << 30)
        patience = settings.get("patience", 60)
        self.pool = httpx.AsyncClient(
            limits=httpx.Limits(
                max_keepalive_connections=0 if settings.get("fresh") else 20,
                keepalive_expiry=60,
            ),
            timeout=patience,
            verify=settings.get("ca", True),
        )

    async def __call__(self, scope, receive, send):
        request = Request(scope, receive)
        try:
            answer = await self.answer(request)
        except ClientDisconnect:
            return
        await answer(scope, receive, send)

    async def answer(self, request):
        if int(request.headers.get("content-length", 0)) > self.limit:
            return JSONResponse({"error": {"type": "too_large"}}, 413)
        body = await request.body()
        kind = request.headers.get("content-type", "application/octet-stream")
        call = self.pool.build_request(
            request.method,
            self.provider + request.url.path,
            content=body,
            headers={"content-type": kind},
        )
        try:
            answer = await self.pool.send(call, stream=True)
            if is_completion(body):
                await answer.aread()
                kind = answer.headers.get("content-type")
                return Response(answer.content, answer.status_code, media_type=kind)
        except httpx.HTTPError as error:
            return JSONResponse(described(error), status_of(error))
        names = ("content-type", "content-length")
        headers = {name: answer.headers[name] for name in names if name in answer.headers}
        return StreamingResponse(pieces(answer), answer.status_code, headers)


class Listener(uvicorn.Server):
    def install_signal_handlers(self):
        """Signals are for the whole program."""


def listener(settings):
    host, _, port = settings["listen"].rpartition(":")
    return Listener(
        uvicorn.Config(
            Route(settings),
            host=host,
            port=int(port),
            loop="asyncio",
            http="h11",
            lifespan="off",
            log_level="error",
            timeout_keep_alive=settings.get("keep_alive", 75),
            ssl_certfile=settings.get("certificate"),
            ssl_keyfile=settings.get("key"),
        )
    )


async def main():
    with open(sys.argv[1]) as file:
        settings = json.load(file)
    await asyncio.gather(*(listener(route).serve() for route in settings["routes"]))


asyncio.run(main())
