"""Has messages of many kinds echoed: echo.py URL OFFER WANTED"""

import asyncio
import json
import os
import random
import ssl
import sys

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.asyncio.client import connect

url, offer, wanted = sys.argv[1:]
offers = {
    "off": {"compression": None},
    "on": {},
    "small": {"server_max_window_bits": 9, "client_max_window_bits": 9},
    "forgetful": {"server_no_context_takeover": True, "client_no_context_takeover": True},
}[offer]
if offer in ("small", "forgetful"):
    offers = {"compression": None, "extensions": [ClientPerMessageDeflateFactory(**offers)]}
if url.startswith("wss"):
    offers["ssl"] = ssl.create_default_context(cafile=os.environ["CA"])

noise = random.Random(1)
line = json.dumps({"type": "message", "id": 1, "username": "ann", "message": "hello κόσμε"})
messages = ["", "a", line, line * 40, line * 4000, b"", noise.randbytes(300), b"a" * 70_000]
messages += [noise.randbytes(1 << 20), "".join(chr(noise.randrange(32, 50_000)) for _ in range(9000))]
messages += [line.replace("1", str(number)) for number in range(50)]


async def main():
    async with asyncio.timeout(60), connect(url, max_size=None, **offers) as ws:
        agreed = [repr(extension) for extension in ws.protocol.extensions]
        if wanted == "none":
            assert agreed == [], agreed
        else:
            takeover = "False" if wanted == "kept" else "True"
            assert f"remote_no_context_takeover={takeover}" in agreed[0], agreed
            assert f"local_no_context_takeover={takeover}" in agreed[0], agreed
            if offer == "small":
                assert "remote_max_window_bits=9, local_max_window_bits=9" in agreed[0], agreed
        for message in messages:
            await ws.send(message)
            assert await ws.recv() == message
        await asyncio.gather(send_all(ws), take_all(ws))
        await ws.send([line, line, line])  # fragments
        assert await ws.recv() == line * 3
        await (await ws.ping())
    assert ws.close_code == 1000, ws.close_code


async def send_all(ws):
    for message in messages:
        await ws.send(message)


async def take_all(ws):
    for message in messages:
        assert await ws.recv() == message


asyncio.run(main())
