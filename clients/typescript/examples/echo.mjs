import { Parlor } from '@parlor/client';
import WebSocket from 'ws'; // Node 20 has none of its own; from 22 on this line is not needed.

const parlor = new Parlor(process.env.PARLOR_URL ?? 'http://127.0.0.1:7777', { WebSocket });
await parlor.login(process.env.BOT_NAME ?? 'echo', process.env.BOT_PASSWORD ?? '');
const room = await parlor.join('general');
for await (const { id, body } of room) {
  if (body.startsWith('!echo ')) await room.send(body.slice(6), { reply_to: id });
}
