import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defaultClientConditions, defineConfig } from 'vite';

import { apiDocs } from './build/api-docs';

export default defineConfig({
  plugins: [svelte(), apiDocs()],
  // The client library is bundled from its source, so it needs no build of its own.
  resolve: { conditions: ['@parlor/source', ...defaultClientConditions] },
  build: {
    target: 'es2022',
    // The page's policy forbids inlined assets in some places, so none is inlined anywhere.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: {
    proxy: {
      '/v1': { target: 'http://127.0.0.1:7777', ws: true },
      '/openapi.json': 'http://127.0.0.1:7777',
    },
  },
});
