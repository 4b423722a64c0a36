import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeAll, expect, test } from 'vitest';

import type { Parlor } from '../../src/index.js';
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
  run('echo.mjs', name);
  await untilOnline(ada, name);
  const text = unique('hi');
  const answers = room.messages();
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
  const folder = mkdtempSync(join(tmpdir(), 'parlor-'));
  const file = join(folder, 'position.json');
  const name = await account('reader');
  const [first, second] = [unique('first'), unique('second')];

  const one = run('log.mjs', name, 'general', file);
  const begun = printed(one, first);
  await untilOnline(ada, name);
  const { seq } = await room.send(first);
  await begun;
  await until(() => kept(file) >= seq);
  one.kill();
  await room.send(second);
  expect(await printed(run('log.mjs', name, 'general', file), second)).not.toContain(first);
  rmSync(folder, { recursive: true });
});

/** Returns what a program prints until it has printed `text`. */
function printed(child: ChildProcess, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = '';
    child.stdout?.setEncoding('utf8').on('data', (some: string) => {
      all += some;
      if (all.includes(text)) resolve(all);
    });
    child.once('exit', () => reject(new Error(`it ended after printing ${all}`)));
  });
}

/** Returns the position that a program has kept. */
function kept(file: string): number {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { seq: number }).seq : 0;
}

/** A program is told of everything since it asked for the room, which it does before it connects. */
function untilOnline(ada: Parlor, username: string): Promise<void> {
  const path = { username };
  return until(async () => (await ada.calls.getPresence({ path })).status === 'online');
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}
