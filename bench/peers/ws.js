// Chat rooms with Node's `ws`: the first message names a room and is answered, every other goes to
// all members of the sender's room.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const rooms = new Map();
const http = createServer((_, response) => response.writeHead(426).end());
const server = new WebSocketServer({ server: http, maxPayload: 64 * 1024 });

server.on("connection", (socket) => {
  let room;
  let members;
  socket.on("message", (data) => {
    if (members === undefined) {
      room = data.toString();
      members = rooms.get(room) ?? new Set();
      rooms.set(room, members.add(socket));
      socket.send("joined");
      return;
    }
    for (const member of members) {
      member.send(data, { binary: false });
    }
  });
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    if (members?.delete(socket) && members.size === 0) {
      rooms.delete(room);
    }
  });
});

http.listen({ host: "127.0.0.1", port: Number(process.env.PORT), backlog: 4096 });
