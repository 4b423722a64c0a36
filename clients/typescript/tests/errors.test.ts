import { expect, test } from 'vitest';

import { errorFromResponse, parseRetryAfter } from '../src/errors.js';
import { HttpClient } from '../src/http.js';
import { reply, World } from './support/world.js';

test('a problem becomes an error with code, fields and the time to wait', async () => {
  const problem = {
    code: 'rate_limited',
    detail: 'too many tries',
    request_id: 'q1',
    errors: [{ field: 'password', code: 'too_common', detail: 'this is a common password' }],
  };
  const error = await errorFromResponse(reply(problem, 429, { 'retry-after': '3' }), 0);
  expect(error).toMatchObject({
    code: 'rate_limited',
    detail: 'too many tries',
    status: 429,
    retryAfterMs: 3000,
    requestId: 'q1',
    retryable: true,
  });
  expect(error.fields[0]?.field).toBe('password');
});

test('an answer that is no problem still has a code', async () => {
  const error = await errorFromResponse(new Response('<html>', { status: 503 }), 0);
  expect(error).toMatchObject({ code: 'unavailable', detail: 'the server answered 503' });
});

test('retry-after is understood in seconds and as a date', () => {
  expect(parseRetryAfter('2', 0)).toBe(2000);
  expect(parseRetryAfter('Thu, 01 Jan 1970 00:00:10 GMT', 4000)).toBe(6000);
  expect(parseRetryAfter('soon', 0)).toBeUndefined();
});

test('a server that does not answer is given up after a while', async () => {
  const world = new World();
  world.ports.fetch = (_url, init) =>
    new Promise((_, reject) => {
      init.signal?.addEventListener('abort', () => reject(new Error('aborted')));
    });
  const http = new HttpClient('http://parlor.test', world.ports);
  const asked = http.json('GET', '/info', { auth: false });
  const outcome = expect(asked).rejects.toMatchObject({ code: 'timeout' });
  await world.clock.advance(20_000);
  await outcome;
});
