"""Chat rooms with FastAPI: the first message names a room and is answered, every other goes to all
members of the sender's room.

A set of connections for each room and a loop that awaits each send, as its manual shows it.
"""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
rooms: dict[str, set[WebSocket]] = {}


@app.websocket("/")
async def chat(socket: WebSocket) -> None:
    await socket.accept()
    try:
        room = await socket.receive_text()
    except WebSocketDisconnect:
        return
    members = rooms.setdefault(room, set())
    members.add(socket)
    try:
        await socket.send_text("joined")
        while True:
            text = await socket.receive_text()
            for member in list(members):
                try:
                    await member.send_text(text)
                except (WebSocketDisconnect, RuntimeError):
                    members.discard(member)
    except WebSocketDisconnect:
        pass
    finally:
        members.discard(socket)
        if not members and rooms.get(room) is members:
            del rooms[room]
