/** Work for many realms at once of which some may have rows that nobody can read: they are found, and the others go on without them. */
import { RowFault } from '../segments/dealer.js';

/**
 * Has the work done for all, without those whose fault it is that it fails; where nobody says whose, for each half.
 *
 * @param realmIds for whom
 * @param work fails with RowFault where rows of some of these realms are at fault; of a single one whatever ends its export alone
 * @param onFault told of each realm that is left out
 * @returns what each part of the work came to
 * @throws whatever else the work fails with
 */
export async function withoutFaulty<T>(realmIds: readonly number[], work: (realmIds: readonly number[]) => Promise<T>, onFault: (realmId: number, fault: RowFault) => void): Promise<T[]> {
  const [first, ...more] = realmIds;
  if (first === undefined) return [];
  try {
    return [await work(realmIds)];
  } catch (error) {
    if (!(error instanceof RowFault)) throw error;
    const whose = more.length === 0 ? first : error.realmId;
    if (!Number.isNaN(whose)) {
      onFault(whose, error);
      return withoutFaulty(realmIds.filter((id) => id !== whose), work, onFault);
    }
    const middle = realmIds.length >> 1;
    return [...await withoutFaulty(realmIds.slice(0, middle), work, onFault), ...await withoutFaulty(realmIds.slice(middle), work, onFault)];
  }
}
