/** Asks a bot and prints its reply while it is written: node examples/stream.mjs "@guide hi" */

import { Parlor } from '@parlor/client';
import WebSocket from 'ws';

const parlor = new Parlor(process.env.PARLOR_URL ?? 'http://127.0.0.1:7777', { WebSocket });
await parlor.login(process.env.BOT_NAME ?? 'ada', process.env.BOT_PASSWORD ?? '');
const room = await parlor.join('general');
room.on('reply', ({ added }) => process.stdout.write(added));
const reply = await room.ask(process.argv[2] ?? '@guide hello', {
  signal: AbortSignal.timeout(60_000),
});
console.log(`\n${reply.sender.display_name} has ended with "${reply.status}".`);
parlor.close();
