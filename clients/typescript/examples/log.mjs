/**
 * Prints a room's log as JSON lines, from where it ended the last time.
 *
 * The position is kept in a file, so nothing is missed over restarts of this program either. The
 * one item that a crash hits between printing and keeping comes again:
 *
 *   node examples/log.mjs general position.json
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';

import { Parlor } from '@parlor/client';
import WebSocket from 'ws';

const [name = 'general', file = 'position.json'] = process.argv.slice(2);
const parlor = new Parlor(process.env.PARLOR_URL ?? 'http://127.0.0.1:7777', { WebSocket });
await parlor.login(process.env.BOT_NAME ?? 'ada', process.env.BOT_PASSWORD ?? '');
const room = await parlor.join(name, { since: position() });
for await (const item of room.items()) {
  console.log(JSON.stringify(item));
  const seq = item.op === 'event' ? item.seq : room.cursor?.seq;
  writeFileSync(`${file}.new`, JSON.stringify({ epoch: room.cursor?.epoch, seq }));
  renameSync(`${file}.new`, file);
}

function position() {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
