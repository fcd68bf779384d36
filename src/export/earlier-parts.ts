/** What may be kept of the parts that an earlier run finished. */
import type { Journal } from '../package/journal.js';
import { digest } from './base/run-identity.js';
import type { RowQuery } from './segments/row-query.js';
import type { Base } from './base/base.js';
import type { BasePart, EarlierPart, EveryField } from './segments/finished-part.js';

/** Digest of what a part is made by: as long as it is the same, the same snapshot yields the same part. */
export function digestOfQueries(...queries: readonly (RowQuery | undefined)[]): string {
  return digest(queries.map((query) => query && [query.select, query.keys, query.stripped]));
}

/**
 * @param query digest of the part's queries now
 * @param range of ids that a messages file holds now: one with another range is another file
 */
export function earlierPart(journal: Journal, path: string, query: string, range?: { readonly after: number; readonly until: number }): EveryField<EarlierPart> | undefined {
  const known = journal.earlier(path);
  if (known === undefined || known.part.after !== range?.after || known.part.until !== range?.until) return undefined;
  const { size, sha256, rows = {}, clients, ids, base, etag } = known.part;
  // Which of its rows were replaced is known of this run's own files alone.
  return { path, size, sha256, rows, clients, ids, base, etag, inode: undefined, mended: undefined, certain: known.present && known.part.query === query };
}

/** What a base has for the messages file that ends with `until`: whether it is the same, the server must be asked. */
export function basePart(base: Base | undefined, query: string, until: number): EveryField<BasePart> | undefined {
  const part = base?.messages(until);
  if (part === undefined) return undefined;
  const { path, size, sha256, inode, rows = {}, clients, ids } = part;
  // Where it lies, and whence it came, is the base's own.
  return { path, size, sha256, inode, rows, clients, ids, etag: undefined, base: undefined, mended: undefined, sameQuery: part.query === query };
}
