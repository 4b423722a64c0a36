import { defineConfig } from 'vitest/config';

/** Tests of the built page in a real browser, against the mock server. Needs `npm run build`. */
export default defineConfig({
  test: {
    include: ['tests/page/**/*.test.ts'],
    environment: 'node',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    fileParallelism: false,
  },
});
