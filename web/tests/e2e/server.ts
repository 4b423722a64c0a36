/**
 * The real server as a process of its own, on a free port and with a data folder of its own.
 *
 * It sees nothing of the environment of whoever runs the tests, and it ends with the test.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const START_MS = 30_000;
const STOP_MS = 60_000;
const BUILT = fileURLToPath(new URL('../../../target/debug/parlor', import.meta.url));

/** The demo model, no rate limits, and passwords that cost nothing. */
const QUICK = {
  PARLOR_LIMITS__ENABLED: 'false',
  PARLOR_LLM__PROVIDER: 'demo',
  PARLOR_AUTH__ARGON2_MEMORY: '8KiB',
  PARLOR_AUTH__ARGON2_ITERATIONS: '1',
};

/** Returns the program under test: the one of `PARLOR_BIN`, else the debug build. */
export function binary(): string {
  const path = process.env['PARLOR_BIN'] || BUILT;
  if (!existsSync(path)) {
    throw new Error(`${path} is missing; build it with \`cargo build -p parlor\`, or set PARLOR_BIN`);
  }
  return path;
}

export class Server {
  url = '';
  #process: ChildProcess | null = null;
  #ended: Promise<number | null> = Promise.resolve(null);
  #wrote = '';

  private constructor(
    private readonly home: string,
    private readonly env: Record<string, string>,
  ) {}

  /** Starts a server; `env` is added to what makes tests quick. */
  static start(this: void, env: Record<string, string> = {}): Promise<Server> {
    return Server.startWith({ ...QUICK, ...env });
  }

  /** Starts a server with nothing but `env`, as a newcomer does. */
  static async startWith(env: Record<string, string>): Promise<Server> {
    const home = await mkdtemp(join(tmpdir(), 'parlor-e2e-'));
    const server = new Server(home, env);
    await server.#launch('127.0.0.1:0');
    return server;
  }

  /** Returns everything that it wrote, in all its lives. */
  get wrote(): string {
    return this.#wrote;
  }

  /** Ends it without warning, as a crash does. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#ended;
  }

  /** Asks it to end and returns its exit code. */
  async terminate(): Promise<number | null> {
    this.#process?.kill('SIGTERM');
    return within(STOP_MS, this.#ended, () => `the server does not end:\n${this.#tail()}`);
  }

  /** Starts it again after it has ended: same data, same address. */
  async restart(): Promise<void> {
    await this.#launch(new URL(this.url).host);
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.home, { recursive: true, force: true });
  }

  async #launch(listen: string): Promise<void> {
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.home,
      PARLOR_DATA_DIR: join(this.home, 'data'),
      PARLOR_LISTEN: listen,
      ...this.env,
    };
    const child = spawn(binary(), ['serve'], {
      cwd: this.home,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.#ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    let wrote = '';
    const listening = new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`the server ended:\n${this.#tail()}`)));
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          this.#wrote += text;
          wrote += text;
          const url = /^listening on (http:\/\/\S+)$/m.exec(wrote)?.[1];
          if (url) resolve(url);
        });
      }
    });
    const late = () => `no \`listening on\` in time:\n${this.#tail()}`;
    this.url = await within(START_MS, listening, late);
  }

  #tail(): string {
    return this.#wrote.slice(-3_000);
  }
}

async function within<T>(ms: number, what: Promise<T>, complain: () => string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(complain())), ms);
  });
  try {
    return await Promise.race([what, late]);
  } finally {
    clearTimeout(timer);
  }
}
