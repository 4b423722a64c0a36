/**
 * Writes the wire types in `src/generated` from the published specs.
 *
 * The specs are the snapshots that the server's tests keep equal to what it serves. With `--check`
 * nothing is written, and the exit code says whether the files are out of date.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { declaration, doc, typeOf } from './schema.mjs';

const SPECS = new URL('../../../broker/src/http/snapshots/', import.meta.url);
const OUT = new URL('../src/generated/', import.meta.url);
const NOTICE = '// Generated from the published specs by `npm run generate`. Do not edit.\n';
const METHODS = ['get', 'put', 'post', 'patch', 'delete'];

/** Returns the text of each generated file by its name. */
export function generate() {
  const http = spec('openapi');
  const socket = spec('asyncapi');
  return new Map([
    ['schemas.ts', schemas(http, socket)],
    ['operations.ts', operations(http)],
    ['names.ts', names(http)],
  ]);
}

/** Returns the names of generated files whose content is not what the specs say. */
export function outOfDate() {
  return [...generate()].filter(([name, text]) => read(name) !== text).map(([name]) => name);
}

function spec(name) {
  const file = new URL(`parlor_broker__http__${name}__tests__${name}.snap`, SPECS);
  // A snapshot begins with a few lines on where it comes from.
  return JSON.parse(
    readFileSync(file, 'utf8')
      .split(/^---\n/m)
      .slice(2)
      .join('---\n'),
  );
}

function read(name) {
  try {
    return readFileSync(new URL(name, OUT), 'utf8');
  } catch {
    return '';
  }
}

function schemas(http, socket) {
  const all = { ...http.components.schemas };
  for (const [name, schema] of Object.entries(socket.components.schemas)) {
    if (all[name] && JSON.stringify(all[name]) !== JSON.stringify(schema)) {
      throw new Error(`${name} means different things in the two specs`);
    }
    all[name] = schema;
  }
  // An event that this version does not know would make `type` useless for telling events apart.
  delete all['UnknownEvent'];
  const names = Object.keys(all).sort();
  return `${NOTICE}\n${names.map((name) => declaration(name, all[name])).join('\n')}`;
}

function operations(http) {
  const rows = [];
  const used = new Set();
  const refer = (schema) => typeOf(schema, used, '    ');
  for (const [path, methods] of Object.entries(http.paths)) {
    for (const method of METHODS.filter((method) => method in methods)) {
      rows.push(operation(`${method.toUpperCase()} ${path}`, methods[method], refer));
    }
  }
  const names = [...used]
    .sort()
    .map((name) => `  ${name},\n`)
    .join('');
  return `${NOTICE}
import type {
${names}} from './schemas.js';

/** A body that is not JSON. */
export type RawBody = Blob | Uint8Array<ArrayBuffer> | string;

/** Every call of the HTTP API: what goes in, and what comes out. */
export interface Operations {
${rows.join('')}}
`;
}

function names(http) {
  const rows = [];
  for (const [path, methods] of Object.entries(http.paths)) {
    for (const method of METHODS.filter((method) => method in methods)) {
      const { operationId, summary } = methods[method];
      const name = operationId.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
      rows.push([name, `${doc(summary, '  ')}  ${name}: '${method.toUpperCase()} ${path}',\n`]);
    }
  }
  rows.sort(([a], [b]) => (a < b ? -1 : 1));
  return `${NOTICE}
/** The calls of the HTTP API by name. */
export const OPERATION_NAMES = {
${rows.map(([, row]) => row).join('')}} as const;
`;
}

function operation(key, spec, refer) {
  const about = doc(spec.summary, '  ');
  return `${about}  '${key}': {
    path: ${parameters(spec, 'path', refer)};
    query: ${parameters(spec, 'query', refer)};
    body: ${body(spec.requestBody, refer)};
    answer: ${answer(spec.responses, refer)};
  };
`;
}

function parameters(spec, place, refer) {
  const found = (spec.parameters ?? []).filter((parameter) => parameter.in === place);
  if (found.length === 0) return 'Record<never, never>';
  const parts = found.map(({ name, required, schema }) => {
    const type = refer(schema).replace(/ \| null$/, '');
    return `${/^\w+$/.test(name) ? name : `'${name}'`}${required ? '' : '?'}: ${type}`;
  });
  return `{ ${parts.join('; ')} }`;
}

function body(request, refer) {
  if (!request) return 'undefined';
  const json = request.content['application/json'];
  const type = json ? refer(json.schema) : 'RawBody';
  return request.required ? type : `${type} | undefined`;
}

function answer(responses, refer) {
  const types = new Set();
  for (const [status, { content = {} }] of Object.entries(responses)) {
    if (!status.startsWith('2')) continue;
    if (Object.keys(content).length === 0) types.add('undefined');
    else if (content['application/json']?.schema)
      types.add(refer(content['application/json'].schema));
    else types.add('Response');
  }
  return [...types].join(' | ') || 'Response';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const late = outOfDate();
  if (process.argv.includes('--check')) {
    for (const name of late)
      console.error(`src/generated/${name} is out of date: npm run generate`);
    process.exitCode = late.length > 0 ? 1 : 0;
  } else {
    for (const [name, text] of generate()) writeFileSync(new URL(name, OUT), text);
  }
}
