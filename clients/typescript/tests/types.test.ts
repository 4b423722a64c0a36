import { expectTypeOf, test } from 'vitest';

import type { CallOptions, EventFrame, Message, MessagePage, Parlor } from '../src/index.js';

test('a call takes what its operation needs, and answers with its type', () => {
  type List = CallOptions<'GET /v1/rooms/{room}/messages'>;
  expectTypeOf<List>().toHaveProperty('path').toEqualTypeOf<{ room: string }>();
  expectTypeOf<{ path: { room: string } }>().toExtend<List>();
  expectTypeOf<Record<never, never>>().not.toExtend<List>();
  expectTypeOf<Record<never, never>>().toExtend<CallOptions<'GET /v1/users/me'>>();
  expectTypeOf<{ path: { room: string } }>().not.toExtend<
    CallOptions<'POST /v1/rooms/{room}/messages'>
  >();
  expectTypeOf<Awaited<ReturnType<Parlor['calls']['listMessages']>>>().toEqualTypeOf<MessagePage>();
});

test('the type of an event tells what its data are', () => {
  type Created = Extract<EventFrame, { type: 'message.created' }>;
  expectTypeOf<Created['data']>().toEqualTypeOf<Message>();
});
