/**
 * The messages files of a base that hold the messages of now, told by the ids of the messages that travel, which indexes have. The others come
 * behind them, and are planned as without a base.
 */
import type pg from 'pg';
import { copyError } from '../../copy/copy-error.js';
import { messageFiles, MESSAGES_PER_FILE, type PlannedMessageFile } from '../../plan/message-files.js';
import { digestOfList, numbers } from '../segments/id-list.js';
import type { Base } from '../base/base.js';

/** Files asked for at once, at least; each question costs a look at all messages, so that there are not more than so many of these. */
const AT_ONCE = 1024;
const QUESTIONS = 16;

/** So many ids behind the last file are sent, those of other realms among them; what is not more than this needs no plan of its own. */
const FEW = 100_000;

/** A file of the base whose place is known. */
interface PlacedPart {
  readonly after: number;
  readonly until: number;
  /** Digest of its messages' ids. */
  readonly ids: string;
}

/** Messages of now where the base has a file, or behind the last of all. */
interface Found {
  readonly count: number;
  /** As a list in whichever order; of those behind the last file perhaps not all. */
  readonly ids: string | null;
}

/** The plan of the messages files as {@link messageFiles} yields it; of those that the base has as they are with the ids. */
export class SharedMessages {
  readonly #client: pg.Client;
  readonly #ids: string;
  readonly #base: Base;
  /** Whether all messages of the base are those of now up to its last one; more may have come behind it. */
  whole = false;

  /** @param client a session in the snapshot @param ids query of the exported messages' ids, see messageIdsQuery */
  constructor(client: pg.Client, ids: string, base: Base) {
    [this.#client, this.#ids, this.#base] = [client, ids, base];
  }

  async* files(): AsyncGenerator<PlannedMessageFile> {
    const parts = placedParts(this.#base);
    const atOnce = Math.max(AT_ONCE, Math.ceil(parts.length / QUESTIONS));
    let [number, after] = [0, 0];
    for (let from = 0; from < parts.length; from += atOnce) {
      const asked = parts.slice(from, from + atOnce);
      const last = from + atOnce >= parts.length;
      const found = await this.#found(asked, from === 0 ? undefined : after, last);
      const more = found.get(asked.length);
      for (const [at, part] of asked.entries()) {
        const { count, ids: list } = found.get(at) ?? { count: 0, ids: null };
        const ids = listOf(list, part.ids);
        if (ids === undefined) {
          yield* this.#behind(number, after);
          return;
        }
        this.whole = last && at === asked.length - 1;
        // To the last file of the base more may come.
        if (count < MESSAGES_PER_FILE && (more !== undefined || !this.whole)) {
          yield* this.whole && more !== undefined ? this.#after(number, after, more, numbers(ids)) : this.#behind(number, after);
          return;
        }
        ({ until: after } = part);
        yield { number: ++number, after: part.after, until: after, rows: count, ids };
      }
      if (last) {
        if (more !== undefined) yield* this.#after(number, after, more);
        return;
      }
    }
    yield* this.#behind(number, after);
  }

  /** The files of what comes behind so many, cut here if all of it was sent. @param begun messages that come before, in no file yet */
  async* #after(number: number, after: number, { count, ids: list }: Found, begun: readonly number[] = []): AsyncGenerator<PlannedMessageFile> {
    const come = numbers(list);
    // Where the first file of all begins, its plan says.
    if (number === 0 || come.length < count) {
      yield* this.#behind(number, after);
      return;
    }
    const ids = [...begun, ...come];
    for (let at = 0; at < ids.length; at += MESSAGES_PER_FILE) {
      const of = ids.slice(at, at + MESSAGES_PER_FILE);
      const until = of.at(-1) ?? NaN;
      yield { number: ++number, after, until, rows: of.length };
      after = until;
    }
  }

  #behind(number: number, after: number): AsyncGenerator<PlannedMessageFile> {
    return number === 0 ? messageFiles(this.#client, this.#ids) : messageFiles(this.#client, `SELECT s.id FROM (${this.#ids}) AS s WHERE s.id > ${after}`, { number, after });
  }

  /** The messages of each file, by its number among these, and of what comes behind the last of all. @param after undefined where they begin */
  async #found(parts: readonly PlacedPart[], after: number | undefined, last: boolean): Promise<ReadonlyMap<number, Found>> {
    const until = parts.at(-1)?.until ?? NaN;
    const range = [...(after === undefined ? [] : [`q.id > ${after}`]), ...(last ? [] : [`q.id <= ${until}`])].join(' AND ');
    // Of doubles the server makes one array for all rows, and ids are whole numbers below 2^53.
    const text = `
      SELECT s.file, count(*)::float8 AS count, string_agg(s.id::text, ',') FILTER (WHERE s.id <= ${until + FEW}) AS ids
      FROM (SELECT width_bucket(q.id::float8, '{${parts.map((part) => part.until + 1).join(',')}}'::float8[]) AS file, q.id FROM (${this.#ids}) AS q ${range === '' ? '' : `WHERE ${range}`}) AS s GROUP BY s.file`;
    try {
      const { rows } = await this.#client.query<{ file: number } & Found>(text);
      return new Map(rows.map(({ file, count, ids }) => [file, { count, ids }]));
    } catch (error) {
      throw copyError(error, 'zerver_message', text, this.#client.user ?? 'the role');
    }
  }
}

/** The list in order, if it is that with the digest. The server sends it so, but where it chose to read the messages otherwise. */
function listOf(list: string | null, digest: string): string | undefined {
  if (list !== null && digestOfList(list) === digest) return list;
  const sorted = numbers(list).join();
  return digestOfList(sorted) === digest ? sorted : undefined;
}

/** As far as they follow one another. */
function placedParts(base: Base): PlacedPart[] {
  const parts: PlacedPart[] = [];
  for (const part of base.messagesFiles()) {
    const { after, until, ids } = part ?? {};
    if (after === undefined || until === undefined || ids === undefined || (parts.length > 0 && parts.at(-1)?.until !== after)) break;
    parts.push({ after, until, ids });
  }
  return parts;
}
