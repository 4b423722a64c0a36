import { defineConfig } from 'vitest/config';

/** The embedded page in a real browser, against the real server. */
export default defineConfig({
  test: {
    include: ['tests/e2e/**/*.test.ts'],
    environment: 'node',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A busy machine needs more than the usual second.
    expect: { poll: { timeout: 20_000 } },
    maxWorkers: 2,
  },
});
