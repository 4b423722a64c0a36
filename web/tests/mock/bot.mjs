/** The mock's bot: streams an answer made for looking at, word by word, and can be stopped. */

import { GUIDE } from './state.mjs';

const ANSWER = `Here is what a reply can look like.

## Lists and links

1. **Bold**, *italic*, \`code\` and [a link](https://example.org/page)
2. A picture becomes a link: ![a chart](https://example.org/chart.png)
   - [x] done
   - [ ] to do

\`\`\`rust
/// Adds two numbers.
fn add(a: u32, b: u32) -> u32 {
    a + b // never overflows here
}
\`\`\`

| figure | value |
| ------ | ----: |
| rooms  |     2 |
| bots   |     1 |

> Quoted text keeps its place.

<script>alert('never')</script> is shown as text.
`;

export async function answer(state, room, trigger, { everyMs }) {
  const text = trigger.body.includes('long') ? ANSWER.repeat(20) : ANSWER;
  state.signal(room, 'bot.status', { bot: GUIDE, state: 'queued', position: 1 });
  await pause(everyMs * 4);
  state.signal(room, 'bot.status', { bot: GUIDE, state: 'thinking' });
  await pause(everyMs * 8);
  const message = state.publish(room, GUIDE, '', {
    status: 'streaming',
    reply_to: null,
    bot: { trigger: trigger.id, provider: 'demo', model: 'demo' },
  });
  message.stream = { chunk: 0, text: '' };
  state.signal(room, 'bot.status', { bot: GUIDE, message: message.id, state: 'streaming' });
  for (const piece of text.match(/\s*\S+\s*/g) ?? []) {
    await pause(everyMs);
    if (!message.stream) return;
    message.stream.chunk += 1;
    message.stream.text += piece;
    const { chunk } = message.stream;
    state.signal(room, 'message.delta', { message: message.id, turn: 1, chunk, text: piece });
  }
  finish(state, room, message, 'completed');
}

export function finish(state, room, message, status, error) {
  if (!message.stream) return;
  const body = message.stream.text;
  message.stream = undefined;
  const usage = { prompt_tokens: 10, completion_tokens: 50, estimated: true };
  const data = { body, status, usage, ...(error ? { error } : {}) };
  state.change(room, message, 'message.completed', data, { body, status, error }, GUIDE);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
