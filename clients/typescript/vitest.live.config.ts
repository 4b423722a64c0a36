import { defineConfig } from 'vitest/config';

/** Against a real server, through a proxy that breaks connections; see `tests/live/stage.ts`. */
export default defineConfig({
  test: {
    include: ['tests/live/*.test.ts'],
    environment: 'node',
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // They share one server and its faults.
    fileParallelism: false,
  },
});
