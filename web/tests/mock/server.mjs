/**
 * A small server that speaks enough of the contract for the page: accounts, rooms, history, live
 * messages and a streaming bot. It serves the built page under the policy of the real one.
 */

import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { WebSocketServer } from 'ws';

import { answer, finish } from './bot.mjs';
import { Problem, routes } from './routes.mjs';
import { MockState } from './state.mjs';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; " +
  "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; " +
  "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'";
const DOCS_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data:; connect-src 'self'; font-src 'self'; worker-src blob:; base-uri 'none'";
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain; charset=utf-8',
};

/** Starts the mock on a free port and returns its address and its levers. */
export async function startMock({ port = 0, everyMs = 20 } = {}) {
  const state = new MockState();
  const sockets = new Set();
  const server = createServer((request, response) => {
    handle(state, request, response).catch((error) => {
      response.writeHead(500).end(String(error));
    });
  });
  const upgrade = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url, 'http://mock');
    const user = state.tickets.get(url.searchParams.get('ticket'));
    state.tickets.delete(url.searchParams.get('ticket'));
    if (!user || request.headers['sec-websocket-protocol'] !== 'parlor.v1') {
      socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    upgrade.handleUpgrade(request, socket, head, (ws) => serve(state, sockets, ws, user, everyMs));
  });
  state.onFrame = (room, frame) => {
    for (const peer of sockets) if (peer.rooms.has(room.id)) peer.say(frame);
  };
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    state,
    sockets,
    /** Ends every connection with a close code. */
    closeAll: (code) => [...sockets].forEach((peer) => peer.ws.close(code)),
    stop: async () => {
      for (const peer of sockets) peer.ws.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(state, sockets, ws, user, everyMs) {
  const peer = { ws, user, rooms: new Set(), say: (frame) => ws.send(JSON.stringify(frame)) };
  sockets.add(peer);
  ws.on('close', () => sockets.delete(peer));
  const limits = { frame_bytes: 65536, body_bytes: 16384, subscriptions: 200 };
  const rest = { node: 'mock', heartbeat_ms: 25000, limits };
  peer.say({ op: 'welcome', session: randomUUID(), user, ...rest });
  ws.on('message', (data) => command(state, peer, JSON.parse(String(data)), everyMs));
}

function command(state, peer, frame, everyMs) {
  const { user, say } = peer;
  const room = frame.room ? state.findRoom(frame.room) : undefined;
  const ok = (more = {}) => say({ op: 'ok', re: frame.id, ...more });
  switch (frame.op) {
    case 'ping':
      say({ op: 'pong' });
      break;
    case 'subscribe':
      peer.rooms.add(room.id);
      say(state.subscribed(room, frame.id, frame.since));
      if (frame.since) room.log.slice(frame.since.seq).forEach(say);
      break;
    case 'publish': {
      const { client_id, reply_to } = frame;
      const message = state.publish(room, user, frame.body, { client_id, reply_to });
      ok({ seq: message.seq, message: message.id });
      if (/@guide\b/.test(frame.body)) void answer(state, room, message, { everyMs });
      break;
    }
    case 'cancel': {
      const message = room.messages.find((known) => known.id === frame.message);
      if (message) finish(state, room, message, 'cancelled');
      ok();
      break;
    }
    case 'typing':
      state.signal(room, 'typing', { user, on: frame.on });
      break;
    case 'read':
      break;
    default:
      ok();
  }
}

async function handle(state, request, response) {
  const url = new URL(request.url, 'http://mock');
  if (!url.pathname.startsWith('/v1/') && !['/openapi.json', '/info'].includes(url.pathname)) {
    await serveFile(url.pathname, response);
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  const token = request.headers.authorization?.replace('Bearer ', '');
  const user = state.users.get(state.access.get(token))?.user;
  const call = { user, query: url.searchParams, body: text ? JSON.parse(text) : {} };
  try {
    const { status = 200, body, type = 'application/json' } = routes(
      state,
      request.method,
      url.pathname,
      call,
    );
    response.writeHead(status, { 'content-type': type });
    response.end(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    response.writeHead(error.status, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify(error.body));
  }
}

async function serveFile(path, response) {
  const pages = { '/': '/index.html', '/setup': '/index.html', '/docs': '/docs/index.html' };
  const name = normalize(pages[path] ?? (path === '/redoc' ? '/redoc/index.html' : path));
  try {
    const body = await readFile(join(DIST, name));
    const docs = name.startsWith('/docs/') || name.startsWith('/redoc/');
    response.writeHead(200, {
      'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
      'content-security-policy': docs ? DOCS_POLICY : PAGE_POLICY,
      'x-content-type-options': 'nosniff',
    });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}
