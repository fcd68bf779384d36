// A messages file that was made of one that was good: what verify says of it is what it says of any other, whether it looks at the new rows alone or at all of them.
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { RUN_DIRECTORY } from '../../src/package/output-directory.js';
import { writeReplacedRows, type ReplacedRow } from '../../src/package/replaced-rows.js';
import { verifyExport, withVerifyHere, type VerifyOptions, type VerifyReport } from '../../src/verify/verify-export.js';
import type { Tasks } from '../../src/verify/worker-tasks.js';
import { checkedBefore, edit, ourExport, sign, type Row, type Tables } from './our-export.js';
import { watched } from './watched-tasks.js';

const FILE = 'messages-000001.json';
const MESSAGES = 'zerver_message';
const USERMESSAGES = 'zerver_usermessage';

/** What stands in place of a row of a table; of text, instead of JSON, it is what stands there. */
type Change = readonly [table: string, row: number, now: (row: Row) => Row | string];

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

t.test('a mended file', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'acme-full', (made) => { edit(made, FILE, () => undefined); });
  const original = readFileSync(join(directory, FILE), 'utf8');
  const tables = JSON.parse(original) as Tables;
  const rows = (table: string): Row[] => tables[table] ?? [];
  const last = rows(USERMESSAGES).length - 1;
  const highest = rows(USERMESSAGES)[last]?.id as number;
  t.ok(rows(MESSAGES).length > 20 && last > 20, 'there are rows to change');

  const before = await checkedBefore(directory);

  /** With the findings, and whether all rows were looked at. */
  const verified = async (options: VerifyOptions): Promise<readonly [report: object, whole: boolean]> => withVerifyHere(async ({ pool, scratch }) => {
    let whole = false;
    const watching = watched(pool, (name, given) => { whole ||= name === 'tables' && (given as Tasks['tables']['arguments']).file === FILE; });
    const { totals: { seconds, ...totals }, ...report }: VerifyReport = await verifyExport(directory, { ...options, workers: { pool: watching, scratch } });
    t.ok(seconds >= 0);
    return [{ ...report, totals }, whole];
  });

  /** The file with these rows in place of others, in the order of the file. */
  const changed = (changes: readonly Change[]): { text: string; replaced: ReplacedRow[] } => {
    let [text, from] = [original, 0];
    const replaced = changes.map(([table, number, now]): ReplacedRow => {
      const row = rows(table)[number] as Row;
      const old = JSON.stringify(row);
      const at = text.indexOf(old, from);
      const other = now(row);
      const there = typeof other === 'string' ? other : JSON.stringify(other);
      text = text.slice(0, at) + there + text.slice(at + old.length);
      from = at + there.length;
      return [Buffer.byteLength(text.slice(0, at)), Buffer.byteLength(there), old];
    });
    return { text, replaced };
  };

  /** @param whole whether all rows must be looked at */
  const compare = async (name: string, whole: boolean, changes: readonly Change[], told: (made: ReturnType<typeof changed>) => { text?: string | Buffer; base?: string; replaced?: ReplacedRow[] } = () => ({})): Promise<object> => {
    const made = changed(changes);
    const { text = made.text, base = digest(original), replaced = made.replaced } = told(made);
    writeFileSync(join(directory, FILE), text);
    await sign(directory);
    writeReplacedRows(directory, FILE, { base, rows: replaced });
    const [expected] = await verified({});
    const [actual, looked] = await verified({ before, mended: (path) => path === FILE });
    t.same(actual, expected, name);
    t.equal(looked, whole, `${name}: ${whole ? 'all rows' : 'the new rows'} are looked at`);
    rmSync(join(directory, RUN_DIRECTORY), { recursive: true });
    return actual;
  };
  const errors = (report: object): number => (report as VerifyReport).totals.errors;

  const flags: Change[] = [0, 3, 4, last - 5].map((row) => [USERMESSAGES, row, (old) => ({ ...old, flags_mask: (old.flags_mask as number) + 64 })]);
  const moved = rows(MESSAGES).find((row) => row.recipient !== rows(MESSAGES)[0]?.recipient)?.recipient;
  const edited: Change[] = [[MESSAGES, 0, (row) => ({ ...row, content: 'another, with “quotes”', recipient: moved })], [MESSAGES, 7, (row) => ({ ...row, content: '' })]];
  const more = (...distances: number[]): Change => [USERMESSAGES, last, (row) => [row, ...distances.map((distance) => ({ ...row, id: highest + distance }))].map((each) => JSON.stringify(each)).join()];
  t.equal(errors(await compare('flags', false, flags)), 0);
  t.equal(errors(await compare('messages edited and moved', false, [...edited, ...flags])), 0);
  const counted = (usermessages: number): void => { edit<Record<string, Record<string, number>>>(directory, 'stats.json', (stats) => ({ ...stats, 'messages-000001': { ...stats['messages-000001'], [USERMESSAGES]: usermessages } })); };
  counted(last + 3);
  t.equal(errors(await compare('usermessages that came behind the others', false, [...edited, ...flags, more(1_000_000, 1_000_001)])), 0);
  counted(last + 1);

  const wrong = async (name: string, changes: readonly Change[], told?: Parameters<typeof compare>[3]): Promise<void> => { t.ok(errors(await compare(name, true, changes, told)) > 0, `${name}: is told`); };
  await wrong('a user who is not there', [[USERMESSAGES, 3, (row) => ({ ...row, user_profile: 999_999 })]]);
  await wrong('a message that is not there', [[USERMESSAGES, 3, (row) => ({ ...row, message: 999_999 })]]);
  await wrong('a sender who is not there', [[MESSAGES, 3, (row) => ({ ...row, sender: 999_999 })]]);
  await wrong('an id that another row has', [[USERMESSAGES, 3, () => rows(USERMESSAGES)[2] as Row]]);
  await wrong('a message that came twice', [[MESSAGES, 3, (row) => `${JSON.stringify(row)},${JSON.stringify(row)}`]]);
  await wrong('a usermessage that came twice', [more(0)]);
  await wrong('usermessages that are not sorted', [more(1_000_001, 1_000_000)]);
  await wrong('a row that came in between', [[USERMESSAGES, 3, (row) => `${JSON.stringify(row)},${JSON.stringify({ ...row, id: highest + 1_000_000 })}`]]);
  await wrong('no row', [[USERMESSAGES, 3, () => '']]);
  await wrong('half a row', [[USERMESSAGES, 3, (row) => JSON.stringify(row).slice(0, -1)]]);
  await wrong('a text that is not UTF-8', edited, ({ text }) => {
    const bytes = Buffer.from(text);
    bytes[bytes.indexOf('“')] = 0xff;
    return { text: bytes };
  });
  const elsewhere = rows(USERMESSAGES)[6]?.user_profile as number;
  await wrong('what is not told', flags, ({ text }) => ({ text: text.replace(new RegExp(`"user_profile":${elsewhere}\\b`), '"user_profile":999999') }));

  // What is right, but cannot be known by the new rows alone.
  const right = async (name: string, changes: readonly Change[], told?: Parameters<typeof compare>[3]): Promise<void> => { t.equal(errors(await compare(name, true, changes, told)), 0, `${name}: is good`); };
  await right('a message of another month', [[MESSAGES, 3, (row) => ({ ...row, date_sent: (row.date_sent as number) - 100 * 86_400 })]]);
  await right('another base than is known', flags, () => ({ base: digest('') }));
  await right('another old row', flags, ({ replaced }) => ({ replaced: replaced.map(([at, length, old]) => [at, length, old.replace(/\d/, '7')]) }));
  await right('places that overlap', flags, ({ replaced }) => ({ replaced: [...replaced, ...replaced] }));
  await right('no places', flags, () => ({ replaced: [] }));
  await right('a damaged list', flags, () => ({ replaced: 'x' as unknown as ReplacedRow[] }));
});
