/**
 * Puts Swagger UI at `docs/` and ReDoc at `redoc/` of the build, with all their files, so that the
 * API's pages need nothing from outside.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Plugin } from 'vite';

const FILES: Record<string, string> = {
  'docs/index.html': 'api-docs/docs/index.html',
  'docs/initializer.js': 'api-docs/docs/initializer.js',
  'docs/swagger-ui.css': 'node_modules/swagger-ui-dist/swagger-ui.css',
  'docs/swagger-ui-bundle.js': 'node_modules/swagger-ui-dist/swagger-ui-bundle.js',
  'docs/LICENSE.txt': 'node_modules/swagger-ui-dist/LICENSE',
  'docs/NOTICE.txt': 'node_modules/swagger-ui-dist/NOTICE',
  'docs/swagger-ui-bundle.js.LICENSE.txt':
    'node_modules/swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt',
  'redoc/index.html': 'api-docs/redoc/index.html',
  'redoc/initializer.js': 'api-docs/redoc/initializer.js',
  'redoc/page.css': 'api-docs/redoc/page.css',
  'redoc/redoc.standalone.js': 'node_modules/redoc/bundles/redoc.standalone.js',
  'redoc/redoc.standalone.js.LICENSE.txt':
    'node_modules/redoc/bundles/redoc.standalone.js.LICENSE.txt',
  'redoc/LICENSE.txt': 'node_modules/redoc/LICENSE',
};

export function apiDocs(): Plugin {
  return {
    name: 'parlor-api-docs',
    apply: 'build',
    generateBundle() {
      for (const [fileName, from] of Object.entries(FILES)) {
        const source = readFileSync(fileURLToPath(new URL(`../${from}`, import.meta.url)));
        this.emitFile({ type: 'asset', fileName, source: selfContained(fileName, source) });
      }
    },
  };
}

/** A picture of one clear pixel. */
const NOTHING =
  'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';

/** Takes out what points elsewhere: maps that are not shipped, and ReDoc's logo on another host. */
function selfContained(fileName: string, source: Buffer): string | Buffer {
  if (!/\.(js|css)$/.test(fileName)) return source;
  return source
    .toString('utf8')
    .replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n')
    .replace(/\n?\/\*# sourceMappingURL=\S+ ?\*\/\s*$/, '\n')
    .replaceAll('https://cdn.redoc.ly/redoc/logo-mini.svg', NOTHING);
}
