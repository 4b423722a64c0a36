// Chat rooms with Bun, whose WebSockets are uWebSockets, by its own publish and subscribe: the first
// message names a room and is answered, every other goes to all members of the sender's room.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT),
  fetch(request, server) {
    if (server.upgrade(request, { data: { room: undefined } })) {
      return undefined;
    }
    return new Response("a WebSocket is expected", { status: 426 });
  },
  websocket: {
    maxPayloadLength: 64 * 1024,
    message(socket, message) {
      const { room } = socket.data;
      if (room === undefined) {
        socket.data.room = message;
        socket.subscribe(message);
        socket.send("joined");
        return;
      }
      server.publish(room, message);
    },
  },
});
