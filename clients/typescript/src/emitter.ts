/** Typed events by name. A listener that throws does not keep the others from being called. */

import { Notifier, type Unsubscribe } from './notifier.js';

export interface ListenOptions {
  /** Ends the listening. */
  signal?: AbortSignal | undefined;
}

export class Emitter<Events> {
  readonly #notifiers = new Map<keyof Events, Notifier<never>>();

  /** Calls back at each event until the returned function is called. */
  on<Name extends keyof Events>(
    name: Name,
    listener: (event: Events[Name]) => void,
    { signal }: ListenOptions = {},
  ): Unsubscribe {
    if (signal?.aborted) return () => undefined;
    const off = this.#of(name).on(listener);
    signal?.addEventListener('abort', off, { once: true });
    return () => {
      signal?.removeEventListener('abort', off);
      off();
    };
  }

  /** Returns the next event. */
  once<Name extends keyof Events>(
    name: Name,
    { signal }: ListenOptions = {},
  ): Promise<Events[Name]> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const giveUp = () => {
        off();
        reject(signal?.reason as Error);
      };
      const off = this.on(name, (event) => {
        off();
        signal?.removeEventListener('abort', giveUp);
        resolve(event);
      });
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    this.#of(name).emit(event);
  }

  #of<Name extends keyof Events>(name: Name): Notifier<Events[Name]> {
    let notifier = this.#notifiers.get(name) as Notifier<Events[Name]> | undefined;
    if (!notifier) {
      notifier = new Notifier();
      this.#notifiers.set(name, notifier as unknown as Notifier<never>);
    }
    return notifier;
  }
}
