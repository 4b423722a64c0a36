import { defineConfig } from 'vitest/config';

/** Tests of the built page in a real browser, against the mock server. Needs `npm run build`. */
export default defineConfig({
  test: {
    include: ['tests/page/**/*.test.ts'],
    environment: 'node',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A busy machine needs more than the usual second.
    expect: { poll: { timeout: 20_000 } },
    fileParallelism: false,
  },
});
