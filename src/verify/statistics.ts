/** The counts of rows that an export states of itself: stats.json, or stats.txt before Zulip 9. */

/**
 * Counts per section (`realm`, `messages-000001`, …: the file without `.json`) and table. The records of the areas are
 * sections `uploads_records` and so on, with their count under `''`.
 */
export type Statistics = Map<string, Map<string, number>>;

/** @throws SyntaxError when it is not JSON. */
export function parseStatsJson(text: string): Statistics {
  const statistics: Statistics = new Map();
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new SyntaxError('not an object');
  for (const [section, counts] of Object.entries(value)) {
    if (typeof counts === 'number') statistics.set(section, new Map([['', counts]]));
    else if (typeof counts === 'object' && counts !== null) statistics.set(section, new Map(Object.entries(counts as Record<string, number>)));
    else throw new SyntaxError('a count is not a number');
  }
  return statistics;
}

/**
 * Sections headed by the file's name (an absolute path for records.json), then one line `count table` each:
 * ```
 * realm.json
 *    39 zerver_alertword
 *
 * /tmp/…/avatars/records.json
 *    24 records
 * ```
 */
export function parseStatsText(text: string): Statistics {
  const statistics: Statistics = new Map();
  let section: Map<string, number> | undefined;
  for (const line of text.split('\n')) {
    const count = /^\s*(\d+) (\S+)$/.exec(line);
    if (count !== null) section?.set(count[2] === 'records' ? '' : count[2]!, Number(count[1]));
    else if (line.trim() !== '') {
      const name = line.trim().split('/').slice(-2);
      const area = name[1] === 'records.json' ? `${name[0]}_records` : line.trim().replace(/\.json$/, '');
      section = new Map();
      statistics.set(area, section);
    }
  }
  return statistics;
}
