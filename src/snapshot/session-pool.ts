/** Works off a queue of tasks with a number of database sessions. */
import { setMaxListeners } from 'node:events';
import type pg from 'pg';

/** Resolves when it needs the session no more; `rest` is what is then still to be done. */
export type SessionTask = (client: pg.Client, signal: AbortSignal) => Promise<void | { readonly rest: Promise<void> }>;

/** Tasks per session that may be in their rest. */
const RESTS = 4;

/**
 * Runs all tasks, in the order of the queue as sessions come free. The first failure stops the others and is thrown.
 *
 * @param connect opens a session; all of them are ended before this returns
 * @param stop ends the work when it aborts
 */
export async function runTasks(tasks: Iterable<SessionTask>, sessions: number, connect: () => Promise<pg.Client>, stop: AbortSignal): Promise<void> {
  const queue = tasks[Symbol.iterator]();
  const failed = new AbortController();
  // Each task listens, and so does its rest; of more than ten Node would warn.
  setMaxListeners(sessions * (1 + RESTS) + 1, failed.signal);
  const fail = (error: unknown): void => failed.abort(error);
  const stopped = (): void => fail(stop.reason);
  if (stop.aborted) stopped();
  stop.addEventListener('abort', stopped, { once: true });

  const work = async (): Promise<void> => {
    const rests = new Set<Promise<void>>();
    let client: pg.Client | undefined;
    try {
      for (let next = queue.next(); next.done !== true && !failed.signal.aborted; next = queue.next()) {
        client ??= await connect();
        const more = await next.value(client, failed.signal);
        if (more === undefined) continue;
        const rest = more.rest.catch(fail).finally(() => rests.delete(rest));
        rests.add(rest);
        if (rests.size === RESTS) await Promise.race(rests);
      }
    } catch (error) {
      fail(error);
    } finally {
      // A session in the midst of a COPY is cut off by this, not waited for.
      await client?.end().catch(() => undefined);
      await Promise.all(rests);
    }
  };
  await Promise.all(Array.from({ length: sessions }, work));
  stop.removeEventListener('abort', stopped);
  failed.signal.throwIfAborted();
}
