/** Returns what `result` gives, or fails with the signal's reason when that comes first. */
export async function abortable<T>(result: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return result;
  // Whoever has given up is not told of what became of it.
  result.catch(() => undefined);
  signal.throwIfAborted();
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([result, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
