/** Random exports of one realm, joined, against a union made the obvious way in memory. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { mergeExports } from '../../src/commands/merge.js';
import { writeSynthetic, type Row, type Tables } from '../pipe/synthetic-export.js';

const RUNS = Number(process.env.MERGE_RUNS ?? 60);
const USERS = [5, 6, 7, 8];
const REALM = { id: 2, uuid: 'u', date_created: 1.5, string_id: 'acme' };

interface Version {
  mode: 'full' | 'consent';
  consenting: number[];
  /** Users known to this export. */
  users: number[];
  messages: { id: number; text: number }[];
  /** [message, user, id] */
  usermessages: [number, number, number][];
  subscriptions: { id: number; user: number; muted: boolean }[];
  alerts: { id: number; user: number; word: number }[];
  attachments: { id: number; messages: number[] }[];
  files: { name: number; content: number }[];
  perFile: number;
}

const uniqueById = <T extends { id: number }>(row: fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<T[]> =>
  fc.uniqueArray(row, { selector: ({ id }) => id, maxLength }).map((rows) => rows.sort((a, b) => a.id - b.id));
const user = fc.constantFrom(...USERS);

const version: fc.Arbitrary<Version> = fc.record({
  mode: fc.constantFrom('full' as const, 'consent' as const),
  consenting: fc.subarray(USERS),
  users: fc.constant(USERS),
  messages: uniqueById(fc.record({ id: fc.integer({ min: 1, max: 40 }), text: fc.integer({ min: 0, max: 2 }) }), 30),
  usermessages: fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), user, fc.integer({ min: 0, max: 3 })), { maxLength: 60 }),
  subscriptions: uniqueById(fc.record({ id: fc.integer({ min: 1, max: 9 }), user, muted: fc.boolean() }), 6).map((rows) => rows.map((row) => ({ ...row, user: USERS[row.id % USERS.length] as number }))),
  alerts: uniqueById(fc.record({ id: fc.integer({ min: 1, max: 9 }), user, word: fc.integer({ min: 0, max: 1 }) }), 6),
  attachments: uniqueById(fc.record({ id: fc.integer({ min: 1, max: 4 }), messages: fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }) }), 3),
  files: fc.uniqueArray(fc.record({ name: fc.integer({ min: 1, max: 5 }), content: fc.integer({ min: 0, max: 1 }) }), { selector: ({ name }) => name, maxLength: 4 }),
  perFile: fc.integer({ min: 1, max: 12 }),
});

const agrees = ({ mode, consenting }: Version, id: number): boolean => mode === 'full' || consenting.includes(id);

/** The rows that an export of this state holds, by the rules of consent exports. */
function rowsOf(index: number, state: Version): Tables {
  const known = new Set(state.messages.map(({ id }) => id));
  const once = new Set<string>();
  return {
    zerver_realm: [REALM],
    zerver_userprofile: state.users.filter((id) => agrees(state, id)).map((id) => ({ id, name: `user ${id}`, delivery_email: `${id}@x` })),
    zerver_userprofile_mirrordummy: state.users.filter((id) => !agrees(state, id)).map((id) => ({ id, name: `user ${id}`, delivery_email: `hidden-${index}@x` })),
    zerver_subscription: state.subscriptions.map(({ id, user: of, muted }) => ({ id, user_profile: of, recipient: id, is_muted: agrees(state, of) && muted, color: agrees(state, of) ? 'own' : `random ${index}` })),
    // No two of one user with one word, in one export.
    zerver_alertword: state.alerts.filter(({ user: of, word }) => agrees(state, of) && !once.has(`${of} ${word}`) && once.add(`${of} ${word}`)).map(({ id, user: of, word }) => ({ id, user_profile: of, word: `w${word}` })),
    zerver_message: state.messages.map(({ id, text }) => ({ id, content: `text "${text}"` })),
    // An id of its own for each (message, user), in some exports another: as if made anew.
    zerver_usermessage: [...new Map(state.usermessages.filter(([message, of]) => known.has(message) && agrees(state, of)).map(([message, of, again]) => [`${message} ${of}`, { id: (of * 100 + message) * 10 + again, user_profile: of, message }])).values()].sort((a, b) => a.id - b.id),
    zerver_attachment: state.attachments.map(({ id, messages }) => ({ id, messages: messages.filter((each) => known.has(each)).sort((a, b) => a - b), size: 1 })).filter(({ messages }) => messages.length > 0),
  };
}

async function write(directory: string, index: number, state: Version): Promise<string> {
  const { zerver_message: messages = [], zerver_usermessage: usermessages = [], zerver_attachment: attachments = [], ...realm } = rowsOf(index, state);
  const files: Tables[] = [];
  for (let at = 0; at === 0 || at < messages.length; at += state.perFile) {
    const here = messages.slice(at, at + state.perFile);
    const ids = new Set(here.map(({ id }) => id));
    files.push({ zerver_message: here, zerver_usermessage: usermessages.filter(({ message }) => ids.has(message)) });
  }
  return writeSynthetic(directory, {
    header: { mode: state.mode, snapshot: { taken_at: `2026-01-0${index + 1}T00:00:00.000000Z`, id: 'x', server: '150018' } },
    realm, attachment: { zerver_attachment: attachments }, messages: files,
    ...(state.mode === 'consent' ? { consenting: state.consenting } : {}),
    files: Object.fromEntries(state.files.map(({ name, content }) => [`uploads/2/${name}`, `content ${content}`])),
    records: { uploads: state.files.map(({ name }) => ({ path: `2/${name}`, of: index })) },
  });
}

/** What the union should be. */
function expected(states: readonly Version[]): Tables {
  const tables = states.map((state, index) => rowsOf(index, state));
  const result: Tables = {};
  const latest = (table: string): Row[] => [...new Map(tables.flatMap((each) => each[table] ?? []).map((row) => [row.id, row])).values()].sort((a, b) => Number(a.id) - Number(b.id));
  for (const table of ['zerver_realm', 'zerver_message', 'zerver_attachment']) result[table] = latest(table);
  for (const row of result.zerver_attachment ?? []) {
    row.messages = [...new Set(tables.flatMap((each) => (each.zerver_attachment ?? []).filter(({ id }) => id === row.id).flatMap(({ messages }) => messages as number[])))].sort((a, b) => a - b);
  }
  const agreed = new Set(USERS.filter((id) => states.some((state) => agrees(state, id))));
  const lastWith = (id: number): number => states.findLastIndex((state) => (agreed.has(id) ? agrees(state, id) : true));
  const rowOf = (table: string, id: unknown, of: number): Row | undefined => {
    const order = states.map((state, index) => ({ index, rank: agrees(state, of) ? 1 : 0 })).sort((a, b) => a.rank - b.rank || a.index - b.index);
    return order.map(({ index }) => tables[index]?.[table]?.find((row) => row.id === id)).findLast((row) => row !== undefined);
  };
  result.zerver_userprofile = [...agreed].map((id) => rowOf('zerver_userprofile', id, id) as Row).sort((a, b) => Number(a.id) - Number(b.id));
  result.zerver_userprofile_mirrordummy = USERS.filter((id) => !agreed.has(id)).map((id) => tables[lastWith(id)]?.zerver_userprofile_mirrordummy?.find((row) => row.id === id) as Row);
  result.zerver_subscription = latest('zerver_subscription').map((row) => rowOf('zerver_subscription', row.id, row.user_profile as number) as Row);
  const key: Record<string, (row: Row) => string> = { zerver_alertword: (row) => `${String(row.user_profile)} ${String(row.word)}`, zerver_usermessage: (row) => `${String(row.user_profile)} ${String(row.message)}` };
  for (const [table, keyOf] of Object.entries(key)) {
    // By id the later row; then by natural key the row of the later export.
    const owner = new Map<unknown, number>();
    tables.forEach((each, index) => each[table]?.forEach((row) => owner.set(row.id, index)));
    const rows = latest(table);
    result[table] = rows.filter((row) => !rows.some((other) => other.id !== row.id && keyOf(other) === keyOf(row) && (owner.get(other.id) as number) > (owner.get(row.id) as number)));
  }
  return result;
}

function read(directory: string): Tables {
  const tables: Tables = {};
  for (const name of readdirSync(directory).filter((each) => /^(realm|attachment|messages-\d+)\.json$/.test(each)).sort()) {
    for (const [table, rows] of Object.entries(JSON.parse(readFileSync(join(directory, name), 'utf8')) as Tables)) (tables[table] ??= []).push(...rows);
  }
  for (const rows of [tables.zerver_usermessage ?? []]) rows.sort((a, b) => Number(a.id) - Number(b.id));
  return tables;
}

t.test('the union of random exports', async (t) => {
  const root = t.testdir();
  await fc.assert(fc.asyncProperty(fc.array(version, { minLength: 2, maxLength: 4 }), fc.boolean(), async (states, backwards) => {
    const directory = mkdtempSync(join(root, 'run-'));
    const inputs: string[] = [];
    for (const [index, state] of states.entries()) inputs.push(await write(join(directory, `in-${index}`), index, state));
    const output = join(directory, 'out');
    await mergeExports(backwards ? inputs.reverse() : inputs, { output, onConflict: 'later', verify: false });
    const result = read(output);
    const wanted = expected(states);
    for (const [table, rows] of Object.entries(wanted)) t.strictSame(result[table], rows, table);
    const last = (name: number): number => states.findLastIndex(({ files }) => files.some((file) => file.name === name));
    const records = JSON.parse(readFileSync(join(output, 'uploads', 'records.json'), 'utf8')) as Row[];
    const names = [...new Set(states.flatMap(({ files }) => files.map(({ name }) => name)))].sort();
    t.strictSame(records, names.map((name) => ({ path: `2/${name}`, of: last(name) })));
    for (const name of names) t.equal(readFileSync(join(output, 'uploads', '2', String(name)), 'utf8'), `content ${states[last(name)]?.files.find((file) => file.name === name)?.content}`);
    const again = join(directory, 'again');
    await mergeExports([output, output], { output: again, onConflict: 'later', verify: false });
    t.strictSame(read(again), result, 'joined with itself it stays');
    rmSync(directory, { recursive: true });
  }), { numRuns: RUNS });
});
