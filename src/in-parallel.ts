/** Works off a queue, several pieces at once. */
import { setMaxListeners } from 'node:events';

/**
 * Runs `work` on every item, at most `jobs` at a time. The first failure stops the others, by the signal that each gets, and is thrown when
 * they have ended, so that nothing goes on behind the caller's back. Items that are made as they are asked for end with it.
 *
 * @param stop ends the work when it aborts, and its reason is thrown
 */
export async function inParallel<T>(items: Iterable<T> | AsyncIterable<T>, jobs: number, work: (item: T, signal: AbortSignal) => Promise<void>, stop?: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const { signal } = failed;
  // Each piece of work may listen.
  setMaxListeners(0, signal);
  const stopped = (): void => failed.abort(stop?.reason);
  stop?.addEventListener('abort', stopped, { once: true });
  if (stop?.aborted === true) stopped();
  const queue = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    try {
      while (!signal.aborted) {
        const next = await queue.next();
        if (next.done === true) return;
        signal.throwIfAborted();
        await work(next.value, signal);
      }
    } catch (error) {
      failed.abort(error);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  stop?.removeEventListener('abort', stopped);
  await queue.return?.();
  signal.throwIfAborted();
}
