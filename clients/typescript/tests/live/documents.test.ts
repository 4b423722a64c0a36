import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeAll, expect, test } from 'vitest';

import { PASSWORD, register, unique, URL as SERVER } from './stage.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const running: ChildProcess[] = [];

/** Programs see the built package, as whoever installs it. */
beforeAll(async () => {
  const tsc = [`${ROOT}node_modules/typescript/bin/tsc`, '-p', 'tsconfig.build.json'];
  await promisify(execFile)(process.execPath, tsc, { cwd: ROOT });
});

afterEach(() => {
  for (const child of running.splice(0)) child.kill();
});

function run(example: string, name: string, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [`examples/${example}`, ...args], {
    cwd: ROOT,
    env: { ...process.env, PARLOR_URL: SERVER, BOT_NAME: name, BOT_PASSWORD: PASSWORD },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.push(child);
  return child;
}

async function account(name: string): Promise<string> {
  return (await register(name)).user!.username;
}

test('the bot of the README works as it stands there, and answers', async () => {
  const readme = readFileSync(`${ROOT}README.md`, 'utf8');
  const example = readFileSync(`${ROOT}examples/echo.mjs`, 'utf8');
  expect(readme).toContain(`\`\`\`js\n${example}\`\`\``);
  expect(example.trim().split('\n').length).toBeLessThanOrEqual(10);

  const name = await account('echo');
  const ada = await register('ada');
  const room = await ada.open('general');
  const events = room.items({ signals: true });
  run('echo.mjs', name);
  for await (const item of events) {
    if (item.op === 'signal' && item.type === 'presence' && item.data.user.username === name) break;
  }
  const text = unique('hi');
  const answers = room.messages();
  // It hears of what is said from when it asked for the room.
  const { message } = await room.send(`!echo ${text}`);
  for await (const answer of answers) {
    if (answer.sender.username !== name) continue;
    expect(answer).toMatchObject({ body: text, reply_to: message });
    break;
  }
});

test('a reply is printed while it is written', async () => {
  const child = run('stream.mjs', await account('ada'), '@guide hello');
  let printed = '';
  for await (const text of child.stdout!) printed += String(text);
  expect(printed).toMatch(/\S+[\s\S]*\n.+ has ended with "completed"\.\n$/);
});

test('a log is continued where it ended the last time', async () => {
  const ada = await register('ada');
  const room = await ada.open('general');
  const { tmpdir } = await import('node:os');
  const file = `${tmpdir()}/${unique('position')}.json`;
  const name = await account('reader');
  const sentence = async (text: string) => {
    const child = run('log.mjs', name, 'general', file);
    let printed = '';
    for await (const some of child.stdout!) {
      printed += String(some);
      if (printed.includes(text)) break;
    }
    child.kill();
    return printed;
  };
  const [first, second] = [unique('first'), unique('second')];
  const begun = sentence(first);
  const events = room.items({ signals: true });
  for await (const item of events) {
    if (item.op === 'signal' && item.type === 'presence' && item.data.user.username === name) break;
  }
  await room.send(first);
  await begun;
  await room.send(second);
  const printed = await sentence(second);
  expect(printed).not.toContain(first);
});
