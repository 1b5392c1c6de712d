"""Talks in the chat: chat.py URL TOKEN OFFER WANTED"""

import asyncio
import json
import os
import ssl
import sys

from websockets.asyncio.client import connect

url, token, offer, wanted = sys.argv[1:]
tls = ssl.create_default_context(cafile=os.environ["CA"])
compression = "deflate" if offer == "on" else None


async def hear(ws, kind, username):
    while True:
        message = json.loads(await ws.recv())
        if message["type"] == kind and message.get("username", username) == username:
            return message


async def main():
    protocols = ["chat", f"Bearer.{token}"]
    async with asyncio.timeout(60), connect(
        url, ssl=tls, compression=compression, subprotocols=protocols
    ) as ws:
        assert ws.subprotocol == "chat", ws.subprotocol
        assert len(ws.protocol.extensions) == (wanted == "each"), ws.protocol.extensions
        await hear(ws, "system", None)
        await ws.send(json.dumps({"type": "join"}))
        await hear(ws, "users", None)
        heard = await hear(ws, "message", "bob")
        await ws.send(json.dumps({"type": "message", "id": "1", "message": heard["message"] + "!"}))
        own = await hear(ws, "message", "ann")
        assert own["message"] == heard["message"] + "!", own
    assert ws.close_code == 1000, ws.close_code


asyncio.run(main())
