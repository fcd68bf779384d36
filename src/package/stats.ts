/** Zulip's statistics of an export: stats.json, or stats.txt from servers before Zulip 10. */

/** Rows by table of one file of the export, e.g. `realm` or `messages-000001`. */
export interface FileCounts {
  /** Name without .json. */
  readonly file: string;
  readonly tables: Readonly<Record<string, number>>;
}

/** Records by area, in Zulip's order. */
export interface RecordCounts {
  readonly avatars: number;
  readonly uploads: number;
  readonly emoji: number;
  readonly realm_icons: number;
}

/** stats.json as Zulip 11 writes it, in pieces, since an export may have thousands of messages files. */
export function* statsJson(files: Iterable<FileCounts>, records: RecordCounts): Generator<string> {
  yield '{\n';
  for (const { file, tables } of files) yield `  ${JSON.stringify(file)}: ${JSON.stringify(tables, sortedKeys(tables), 2).replaceAll('\n', '\n  ')},\n`;
  const { avatars, uploads, emoji, realm_icons } = records;
  yield `  "avatars_records": ${avatars},\n  "uploads_records": ${uploads},\n  "emoji_records": ${emoji},\n  "realm_icons_records": ${realm_icons}\n}\n`;
}

/** stats.txt as Zulip 6 to 9 write it: for each file its name and one `count table` line each. */
export function* statsText(files: Iterable<FileCounts>, records: RecordCounts): Generator<string> {
  for (const { file, tables } of files) {
    yield `${file}.json\n${sortedKeys(tables).map((table) => `${String(tables[table]).padStart(5)} ${table}\n`).join('')}\n`;
  }
  for (const [area, count] of [['avatars', records.avatars], ['uploads', records.uploads]] as const) {
    yield `${area}/records.json\n${String(count).padStart(5)} records\n\n`;
  }
}

function sortedKeys(tables: Readonly<Record<string, number>>): string[] {
  return Object.keys(tables).sort();
}
