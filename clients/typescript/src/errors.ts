/**
 * One error type for everything that can go wrong between a client and Parlor.
 *
 * `code` is the contract's vocabulary, plus three of the client's own: `network` (no answer),
 * `timeout` (none in time) and `closed` (the connection ended before the answer).
 */

export interface FieldError {
  field: string;
  code: string;
  detail: string;
}

interface Problem {
  title?: string;
  detail?: string;
  code?: string;
  request_id?: string;
  errors?: FieldError[];
}

export interface ErrorParts {
  status?: number;
  retryAfterMs?: number;
  requestId?: string;
  fields?: FieldError[];
}

const RETRYABLE = new Set(['network', 'timeout', 'closed', 'rate_limited', 'unavailable']);
const SIGNED_OUT = new Set(['unauthenticated', 'token_expired']);

export class ParlorError extends Error {
  readonly code: string;
  readonly detail: string;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly requestId: string | undefined;
  readonly fields: readonly FieldError[];

  constructor(code: string, detail: string, parts: ErrorParts = {}) {
    super(detail);
    this.name = 'ParlorError';
    this.code = code;
    this.detail = detail;
    this.status = parts.status;
    this.retryAfterMs = parts.retryAfterMs;
    this.requestId = parts.requestId;
    this.fields = parts.fields ?? [];
  }

  /** Tells whether the same request may succeed later. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }

  /** Tells whether the caller has to prove again who they are. */
  get signedOut(): boolean {
    return SIGNED_OUT.has(this.code);
  }
}

/** Returns `error` as a `ParlorError`; anything unknown becomes `internal`. */
export function asParlorError(error: unknown): ParlorError {
  if (error instanceof ParlorError) return error;
  return new ParlorError('internal', error instanceof Error ? error.message : String(error));
}

/** Returns the delay that a `Retry-After` header asks for, in seconds or as a date. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (!header) return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Returns the error that a failed HTTP response describes, also when its body is no problem+json. */
export async function errorFromResponse(response: Response, now: number): Promise<ParlorError> {
  let problem: Problem = {};
  try {
    problem = (await response.json()) as Problem;
  } catch {
    // A proxy in between answers in HTML; the status alone has to do.
  }
  const parts: ErrorParts = { status: response.status };
  const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), now);
  if (retryAfterMs !== undefined) parts.retryAfterMs = retryAfterMs;
  if (problem.request_id) parts.requestId = problem.request_id;
  if (Array.isArray(problem.errors)) parts.fields = problem.errors;
  const detail = problem.detail ?? problem.title ?? `the server answered ${response.status}`;
  return new ParlorError(problem.code ?? codeForStatus(response.status), detail, parts);
}

function codeForStatus(status: number): string {
  switch (status) {
    case 401:
      return 'unauthenticated';
    case 403:
      return 'forbidden';
    case 404:
      return 'not_found';
    case 409:
      return 'conflict';
    case 413:
      return 'payload_too_large';
    case 422:
      return 'validation_failed';
    case 429:
      return 'rate_limited';
    case 502:
    case 503:
    case 504:
      return 'unavailable';
    default:
      return status >= 500 ? 'internal' : 'bad_request';
  }
}
