// Chat rooms with socket.io: a message goes to all members of the sender's room.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
// Its default engine is `ws`. Long polling is left out, so that a connection is a WebSocket at once.
const io = new Server(http, { transports: ["websocket"], maxHttpBufferSize: 64 * 1024 });
io.engine.on("connection", (connection) => {
  // Its manual recommends this, so that the request of the upgrade does not stay in memory.
  connection.request = null;
});

io.on("connection", (socket) => {
  let room;
  socket.on("join", (name) => {
    room = name;
    socket.join(room);
    socket.emit("joined");
  });
  socket.on("m", (text) => io.to(room).emit("m", text));
});

http.listen({ host: "127.0.0.1", port: Number(process.env.PORT), backlog: 4096 });
