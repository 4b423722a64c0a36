/** How a connection is opened: where, for whom, and with what to be told. */

import type { Ports, SocketLike } from './ports.js';
import type { TokenVault } from './tokens.js';
import type { Deltas, Hello, SignalFamily, WelcomeFrame } from './types.js';

const PROTOCOL = 'parlor.v1';

/** What a connection wants to be told of. */
export interface Wishes {
  /** How the pieces of replies come; `gathered` when absent. */
  deltas?: Deltas;
  /** The families of signals; all when absent. */
  intents?: readonly SignalFamily[];
}

export interface ConnectionOptions extends Wishes {
  url: string;
  ports: Ports;
  vault: TokenVault;
  /** How a connection proves who it is for. */
  ticket: () => Promise<{ ticket: string }>;
  /** `hello` sends the access token as first frame in place of asking for a ticket. */
  proof?: 'ticket' | 'hello';
  /** The name and version of the program, for `hello`. */
  client?: string;
}

/** A socket on its way, and the first frame where that is the proof. */
export interface Opened {
  socket: SocketLike;
  hello: Hello | null;
}

/** Opens a socket, with the proof in the address or in a `hello` that is still to be sent. */
export async function open(options: ConnectionOptions): Promise<Opened> {
  const { url, ports, vault, proof, deltas, intents, client } = options;
  if (proof === 'hello') {
    const token = await vault.accessToken();
    const wishes = { ...(client && { client }), ...(deltas && { deltas }) };
    const hello: Hello = {
      op: 'hello',
      token,
      ...wishes,
      ...(intents && { intents: [...intents] }),
    };
    return { socket: ports.openSocket(url, PROTOCOL), hello };
  }
  const query = new URLSearchParams({ ticket: (await options.ticket()).ticket });
  if (deltas) query.set('deltas', deltas);
  if (intents) query.set('intents', intents.join(','));
  return { socket: ports.openSocket(`${url}?${query}`, PROTOCOL), hello: null };
}

/** Tells whether a frame has more bytes than the server takes. */
export function isTooLarge(frame: string, { limits }: WelcomeFrame): boolean {
  const max = limits.frame_bytes ?? Infinity;
  // A character has three bytes at most for each unit of its length.
  return frame.length * 3 > max && new TextEncoder().encode(frame).length > max;
}
