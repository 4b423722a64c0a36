import { expect, test } from 'vitest';

import { outOfDate } from '../scripts/generate.mjs';

test('the wire types are what the published specs say; else run `npm run generate`', () => {
  expect(outOfDate()).toEqual([]);
});
