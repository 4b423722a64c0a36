/** The meaning of WebSocket close codes: 4500–4999 are final, all others mean "reconnect". */

export const BAD_FRAME = 4500;
export const UNAUTHENTICATED = 4501;
export const TOKEN_EXPIRED = 4004;
export const HEARTBEAT_TIMEOUT = 4002;
export const SESSION_REVOKED = 4509;

export function mayReconnect(code: number): boolean {
  return code < 4500 || code > 4999;
}

const TEXT: Record<number, string> = {
  4000: 'the server is restarting',
  4001: 'this connection was too slow',
  4002: 'the connection went silent',
  4003: 'the server is busy',
  4004: 'the login had to be renewed',
  4500: 'the server could not read what this page sent',
  4501: 'log in again to go on',
  4503: 'this page may not connect to the server',
  4509: 'this login was ended',
  4513: 'a message was too large',
  4529: 'too much was sent at once',
};

/** Returns a fragment for people. */
export function closeText(code: number): string {
  return TEXT[code] ?? 'the connection was lost';
}
