/** Several questions to a session in one turn: else both sides wait for each other after each, which costs more than most answers. */
import type pg from 'pg';

/** The driver looks whether it pipelines whenever it is asked something, though its types only let it be said beforehand. */
interface Pipelining {
  pipeline: boolean;
  /** Sent, and not yet being answered. */
  readonly _sentQueryQueue: readonly unknown[];
}

/**
 * Sends what `ask` asks without waiting for the answers in between. The server answers in order; what fails does not keep it from the rest,
 * unless all of it is in one transaction. Nothing is to be copied meanwhile.
 *
 * @throws what the first that fails throws, once all have been answered
 */
export async function atOnce<T extends readonly unknown[]>(client: pg.Client, ask: () => { readonly [at in keyof T]: Promise<T[at]> }): Promise<T> {
  const session = client as unknown as Pipelining;
  session.pipeline = true;
  try {
    const answers = await Promise.allSettled(ask());
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
    return answers.map((answer) => (answer as PromiseFulfilledResult<unknown>).value) as unknown as T;
  } finally {
    // What others have sent meanwhile would never be answered by a driver that does not pipeline any more.
    while (session._sentQueryQueue.length > 0 && await isAnswered(client));
    session.pipeline = false;
  }
}

async function isAnswered(client: pg.Client): Promise<boolean> {
  return client.query('').then(() => true, () => false);
}
