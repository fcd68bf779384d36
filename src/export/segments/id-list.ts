/** Ids of messages as the server sends and takes them: `1,2,3`. Whole files stay as they are, for no more is done with most than to compare them. */
import { createHash } from 'node:crypto';

/** SHA-256 of ids in their order. */
export function digestOfList(list: string): string {
  return createHash('sha256').update(list).digest('hex');
}

/** The ids in their order, which the server would sort all rows for. */
export function numbers(list: string | null): number[] {
  return list === null || list === '' ? [] : list.split(',').map(Number).sort((a, b) => a - b);
}
