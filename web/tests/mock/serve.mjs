/** Runs the mock by hand: `npm run build && npm run mock`. */

import { startMock } from './server.mjs';

const mock = await startMock({ port: Number(process.env.PORT ?? 0), everyMs: 45 });
console.log(`listening on ${mock.url}`);
