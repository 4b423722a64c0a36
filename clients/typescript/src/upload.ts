/**
 * Files, sent in parts that go on where they were interrupted.
 *
 * The server tells how many bytes it has; after a failure it is asked for that, so no byte is sent
 * twice that has arrived.
 */

import { backoffMs } from './backoff.js';
import { asParlorError, type ParlorError } from './errors.js';
import type { HttpClient } from './http.js';
import type { Ports } from './ports.js';
import type { Attachment, Upload } from './types.js';

const PART_BYTES = 1 << 20;
const PART_TIMEOUT_MS = 60_000;
/** Failures in a row without a byte that arrives. */
const MAX_FAILURES = 8;

export interface UploadOptions {
  signal?: AbortSignal | undefined;
  /** How many bytes are sent at once; at most `limits.part_bytes` of the server. */
  partBytes?: number;
  /** Called with the number of bytes that have arrived. */
  onProgress?: (bytes: number) => void;
}

/** Sends a file and returns the attachment that messages can have. */
export async function upload(
  http: HttpClient,
  ports: Ports,
  name: string,
  content: Blob,
  options: UploadOptions = {},
): Promise<Attachment> {
  const { signal, partBytes = PART_BYTES, onProgress } = options;
  let state = await begin(http, ports, { name, bytes: content.size }, signal);
  const path = `/v1/uploads/${encodeURIComponent(state.id)}`;
  let failures = 0;
  while (!state.attachment) {
    const { offset } = state;
    const raw = content.slice(offset, offset + partBytes);
    const headers = { 'upload-offset': String(offset) };
    const part = { raw, headers, signal, timeoutMs: PART_TIMEOUT_MS };
    try {
      state = await http.json<Upload>('PATCH', path, part);
      failures = 0;
    } catch (thrown) {
      const error = passing(thrown, signal);
      failures += 1;
      if (failures > MAX_FAILURES) throw error;
      await pause(ports, Math.max(error.retryAfterMs ?? 0, backoffMs(failures - 1, ports)), signal);
      state = await arrived(http, path, state, signal);
      if (state.offset > offset) failures = 0;
    }
    if (state.offset > offset) onProgress?.(state.offset);
  }
  return state.attachment;
}

/** Begins an upload; when the answer is lost, the same one again. */
async function begin(
  http: HttpClient,
  ports: Ports,
  file: { name: string; bytes: number },
  signal?: AbortSignal,
): Promise<Upload> {
  const body = { ...file, client_id: ports.uuid() };
  for (let failures = 0; ; failures += 1) {
    try {
      return await http.json<Upload>('POST', '/v1/uploads', { body, signal });
    } catch (thrown) {
      signal?.throwIfAborted();
      const error = asParlorError(thrown);
      if (!error.retryable || failures >= MAX_FAILURES) throw error;
      await pause(ports, Math.max(error.retryAfterMs ?? 0, backoffMs(failures, ports)), signal);
    }
  }
}

/** Asks how much has arrived; as far as is known when that is not answered either. */
async function arrived(
  http: HttpClient,
  path: string,
  known: Upload,
  signal?: AbortSignal,
): Promise<Upload> {
  try {
    return await http.json<Upload>('GET', path, { signal });
  } catch (thrown) {
    passing(thrown, signal);
    return known;
  }
}

/** Returns an error after which it can be tried again; throws any other. */
function passing(thrown: unknown, signal?: AbortSignal): ParlorError {
  signal?.throwIfAborted();
  const error = asParlorError(thrown);
  // A part that arrived although its answer was lost has moved the offset.
  if (!error.retryable && error.code !== 'conflict') throw error;
  return error;
}

function pause(ports: Ports, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      ports.timers.clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = ports.timers.setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
