import { expect, test } from 'vitest';

import type { Timers } from '../src/ports.js';
import { Roster } from '../src/roster.js';
import { BOT, ROOM } from './support/world.js';
import type { BotState, SignalFrame } from '../src/types.js';

const never = { setTimeout: () => 0, clearTimeout: () => {} } as unknown as Timers;

function status(state: BotState, position?: number): SignalFrame {
  const data = { bot: BOT, state, position };
  return { op: 'signal', room: ROOM, type: 'bot.status', data } as SignalFrame;
}

test('a call that waits does not hide what its bot is at', () => {
  const roster = new Roster(never, () => {});

  roster.signal(status('queued', 3));
  roster.signal(status('queued', 2));
  expect(roster.bots().map(({ position }) => position)).toEqual([2]);

  roster.signal(status('thinking'));
  roster.signal(status('queued', 2));
  expect(roster.bots().map(({ state }) => state)).toEqual(['thinking']);
});
