import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { SIDE_FILES } from '../../src/package/side-files.js';
import { mergeExports } from '../../src/commands/merge.js';
import { sampleExport } from '../pipe/sample-export.js';
import { change } from '../testbed/database-client.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { sign } from '../verify/our-export.js';

type Row = Record<string, unknown> & { id: number };
type Tables = Record<string, Row[]>;

const OPTIONS = { onConflict: 'later', verify: false } as const;

/** Everybody of acme falls into one of three: A and B are approved in one export each, the third in none. */
const A = ['user1@acme.example', 'user2@acme.example', 'owner@acme.example', 'user8@acme.example'];
const B = ['user3@acme.example', 'user2@acme.example', 'owner@acme.example', 'user7@acme.example'];

/** A direct message of one of A, which A's export alone holds, names a file of one of B, which only B's has; and the other way round. */
const FILE_OF_A = 6;
const FILE_OF_B = 5;
const user = (name: string): string => `(SELECT id FROM zerver_userprofile WHERE delivery_email = '${name}@acme.example')`;
const names = (file: number, message: number): string => `INSERT INTO zerver_attachment_messages (attachment_id, message_id) VALUES (${file}, ${message})`;
const LINKS_ACROSS = [
  `UPDATE zerver_attachment SET owner_id = ${user('user1')} WHERE id = ${FILE_OF_A}`, `UPDATE zerver_attachment SET owner_id = ${user('user3')} WHERE id = ${FILE_OF_B}`,
  // Of user8 to user8, and of user7 to a third one.
  names(FILE_OF_B, 137), names(FILE_OF_A, 94),
];

const output = t.testdir();
/** A path of its own that is not there yet. */
const fresh = (): string => join(mkdtempSync(join(output, 'merge-')), 'merged');
const made = await withTestDatabase('zulip-11/local', async (url) => {
  await change(url, ...LINKS_ACROSS);
  const exports = {
    full: (await sampleExport(url, { realm: 'acme', output: join(output, 'full') }))[0] as string,
    a: (await sampleExport(url, { realm: 'acme', approved: A, mode: 'consent', output: join(output, 'a') }))[0] as string,
    b: (await sampleExport(url, { realm: 'acme', approved: B, mode: 'consent', output: join(output, 'b') }))[0] as string,
    union: (await sampleExport(url, { realm: 'acme', approved: [...A, ...B], mode: 'consent', output: join(output, 'union') }))[0] as string,
    public: (await sampleExport(url, { realm: 'acme', mode: 'public', output: join(output, 'public') }))[0] as string,
    globex: (await sampleExport(url, { realm: 'globex', output: join(output, 'globex') }))[0] as string,
    users: await sampleExport(url, { realm: 'acme', users: ['owner@acme.example', 'user2@acme.example'], mode: 'user', output: join(output, 'users') }),
  };
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`
    SET search_path = zulip;
    UPDATE zerver_message SET content = 'edited since', rendered_content = '<p>edited since</p>' WHERE id = 500;
    UPDATE zerver_userprofile SET full_name = 'Renamed' WHERE id = 6;
    WITH gone AS (DELETE FROM zerver_reaction WHERE id = (SELECT max(x.id) FROM zerver_reaction x JOIN zerver_message m ON m.id = x.message_id WHERE m.realm_id = 2) RETURNING *)
    INSERT INTO zerver_reaction (id, user_profile_id, message_id, emoji_name, reaction_type, emoji_code)
    SELECT id + 100000, user_profile_id, message_id, emoji_name, reaction_type, emoji_code FROM gone;
    WITH gone AS (DELETE FROM zerver_usermessage WHERE id = (SELECT max(id) FROM zerver_usermessage WHERE message_id = 500) RETURNING *)
    INSERT INTO zerver_usermessage (id, user_profile_id, message_id, flags) SELECT id + 100000, user_profile_id, message_id, flags FROM gone;
    DELETE FROM zerver_alertword WHERE id = (SELECT min(id) FROM zerver_alertword WHERE realm_id = 2)`);
  await client.end();
  return { ...exports, later: (await sampleExport(url, { realm: 'acme', output: join(output, 'later') }))[0] as string };
});

function tablesOf(directory: string): Tables {
  const tables: Tables = {};
  for (const name of readdirSync(directory).filter((each) => /^(realm|user|analytics|attachment|messages-\d+)\.json$/.test(each))) {
    for (const [table, rows] of Object.entries(JSON.parse(readFileSync(join(directory, name), 'utf8')) as Tables)) (tables[table] ??= []).push(...rows);
  }
  return tables;
}

function contents(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && !SIDE_FILES.has(entry.name)).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(files.sort().map((file) => [relative(directory, file), createHash('sha256').update(readFileSync(file)).digest('hex')]));
}

/** All files but those that speak of the run. */
function data(directory: string): Record<string, string> {
  return Object.fromEntries(Object.entries(contents(directory)).filter(([path]) => !/^(manifest|report.*)\.json$/.test(path)));
}

t.test('an export joined with itself is that export', async (t) => {
  for (const [name, directory] of Object.entries({ full: made.full, a: made.a, public: made.public, user: made.users[0] as string })) {
    const merged = fresh();
    const result = await mergeExports([directory, directory], { ...OPTIONS, output: merged });
    t.same(data(merged), data(directory), name);
    t.equal([...result.differences.values()].reduce((sum, each) => sum + each.differing, 0), 0);
    t.notOk(existsSync(`${merged}.partial`));
  }
});

t.test('two sets of approved users: what either has, and nothing private of anybody else', async (t) => {
  const merged = fresh();
  const result = await mergeExports([made.a, made.b], { ...OPTIONS, verify: true, output: merged });
  const [a, b, union, both] = [made.a, made.b, made.union, merged].map(tablesOf) as [Tables, Tables, Tables, Tables];
  for (const table of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (!Array.isArray(both[table])) continue;
    const wanted = new Set([...(a[table] ?? []), ...(b[table] ?? [])].map(({ id }) => id));
    // A user is a placeholder in one and an account in the other.
    if (table.startsWith('zerver_userprofile')) continue;
    t.same(new Set(both[table]?.map(({ id }) => id)), wanted, table);
    t.equal(both[table]?.length, wanted.size, `${table}: each once`);
  }
  const ids = (tables: Tables, table: string): number[] => (tables[table] as Row[]).map(({ id }) => id);
  for (const table of ['zerver_userprofile', 'zerver_userprofile_mirrordummy']) t.same(ids(both, table), ids(union, table), table);
  const find = (tables: Tables, table: string, id: number): Row => (tables[table] as Row[]).find((row) => row.id === id) as Row;
  const consenting = new Set(JSON.parse(readFileSync(join(made.union, 'consented_user_ids.json'), 'utf8')) as number[]);
  t.same(JSON.parse(readFileSync(join(merged, 'consented_user_ids.json'), 'utf8')), [...consenting]);
  let scrubbed = 0;
  for (const row of union.zerver_userprofile as Row[]) if (consenting.has(row.id)) t.same(find(both, 'zerver_userprofile', row.id), row);
  for (const row of both.zerver_subscription as Row[]) {
    const [mine, wanted] = [row, find(union, 'zerver_subscription', row.id)];
    if (consenting.has(row.user_profile as number)) t.same(mine, wanted);
    else {
      scrubbed++;
      t.match(mine, { is_muted: false, pin_to_top: false, desktop_notifications: null });
    }
  }
  t.ok(scrubbed > 50, `${scrubbed} scrubbed subscriptions`);
  for (const table of ['zerver_alertword', 'zerver_usermessage', 'zerver_useractivity', 'zerver_userstatus']) {
    for (const row of both[table] as Row[]) if (!consenting.has(row.user_profile as number)) t.fail(`${table}: a row of user ${row.user_profile as number}`);
  }
  // A direct message between one of A and one of B is in each; a third person's is in neither.
  const messages = new Set(ids(both, 'zerver_message'));
  t.ok(messages.size > 100);
  const lists = (tables: Tables, file: number): number[] => (tables.zerver_attachment?.find((row) => row.id === file)?.messages ?? []) as number[];
  for (const [file, mine, other] of [[FILE_OF_A, a, b], [FILE_OF_B, b, a]] as const) {
    t.strictSame([lists(other, file), lists(mine, file).length < lists(both, file).length], [[], true], `${file}: a message of one half, a file of the other`);
  }
  t.same(both.zerver_attachment?.map(({ id, messages }) => [id, messages]), union.zerver_attachment?.map(({ id, messages }) => [id, messages]));
  t.equal([...result.differences.values()].reduce((sum, each) => sum + each.differing, 0), 0);
  t.ok((result.differences.get('zerver_subscription')?.scrubbed_gave_way ?? 0) > 0);
});

t.test('the same realm at two moments: the later row wins, the report names it, what was made anew comes once', async (t) => {
  const merged = fresh();
  const result = await mergeExports([made.later, made.full], { ...OPTIONS, verify: true, output: merged });
  const [early, late, both] = [made.full, made.later, merged].map(tablesOf) as [Tables, Tables, Tables];
  const message = late.zerver_message?.find(({ content }) => content === 'edited since') as Row;
  t.same(both.zerver_message?.find(({ id }) => id === message.id), message);
  t.same(both.zerver_userprofile?.find(({ id }) => id === 6)?.full_name, 'Renamed');
  t.equal(both.zerver_alertword?.length, early.zerver_alertword?.length, 'a row that was deleted since stays');
  t.same(both.zerver_reaction, late.zerver_reaction);
  t.same(both.zerver_usermessage?.map(({ id }) => id), late.zerver_usermessage?.map(({ id }) => id));
  t.match(result.differences.get('zerver_reaction'), { superseded: 1, differing: 0 });
  t.match(result.differences.get('zerver_usermessage'), { superseded: 1, differing: 0 });
  const report = JSON.parse(readFileSync(join(merged, 'report.json'), 'utf8')) as { differences: Row[]; merged: unknown[] };
  t.ok(report.differences.some((each) => each.table === 'zerver_message' && each.id === message.id && (each.keys as string[]).includes('content') && each.kept === 1 && each.dropped === 0));
  t.notMatch(JSON.stringify(report), 'edited since');
  t.match(report.merged, [{ index: 0, mode: 'full' }, { index: 1, mode: 'full' }]);
  await t.rejects(mergeExports([made.full, made.later], { ...OPTIONS, onConflict: 'fail', output: fresh() }), { code: 'MERGE_CONFLICT' });
});

t.test('a whole realm beside a consent export of it: nobody is scrubbed', async (t) => {
  const merged = fresh();
  await mergeExports([made.full, made.a, made.public], { ...OPTIONS, verify: true, output: merged });
  const [full, both] = [tablesOf(made.full), tablesOf(merged)];
  for (const table of Object.keys(full)) t.same(both[table], full[table], table);
  t.notOk(existsSync(join(merged, 'consented_user_ids.json')));
});

t.test('single users: each message once, with what each user did with it', async (t) => {
  const merged = fresh();
  await mergeExports(made.users, { ...OPTIONS, output: merged });
  const [one, two, both] = [...made.users, merged].map(tablesOf) as [Tables, Tables, Tables];
  t.same(both.zerver_userprofile?.map(({ id }) => id).sort(), [...(one.zerver_userprofile as Row[]), ...(two.zerver_userprofile as Row[])].map(({ id }) => id).sort());
  t.equal(both.zerver_message?.length, new Set([...(one.zerver_message as Row[]), ...(two.zerver_message as Row[])].map(({ id }) => id)).size);
  t.equal(both.zerver_usermessage?.length, (one.zerver_message?.length ?? 0) + (two.zerver_message?.length ?? 0));
  const [message] = one.zerver_message as [Row];
  const user = (one.zerver_userprofile as [Row])[0].id;
  t.same(both.zerver_usermessage?.find((row) => row.message === message.id && row.user_profile === user), { user_profile: user, message: message.id, flags: message.flags, flags_mask: message.flags_mask });
  await t.rejects(mergeExports([merged, made.users[0] as string], { ...OPTIONS, output: fresh() }), { code: 'MERGE_AGAIN' });
});

t.test('what cannot be joined is refused, and nothing is at the output path', async (t) => {
  const refused = async (directories: string[]): Promise<unknown> => {
    const merged = fresh();
    const error = await mergeExports(directories, { ...OPTIONS, output: merged }).then(() => undefined, (each: unknown) => each);
    t.notOk(existsSync(merged) || existsSync(`${merged}.partial`));
    return error;
  };
  t.match(await refused([made.full, made.globex]), { code: 'MERGE_REALMS', message: /acme.*globex/, hint: /--remap/ });
  t.match(await refused([made.full, made.users[0] as string]), { code: 'MERGE_KINDS' });
  const copy = (change: (directory: string) => void): string => {
    const directory = fresh();
    cpSync(made.full, directory, { recursive: true });
    change(directory);
    return directory;
  };
  const edit = (directory: string, file: string, from: string, to: string): void => writeFileSync(join(directory, file), readFileSync(join(directory, file), 'utf8').replace(from, to));
  t.match(await refused([made.a, copy((directory) => edit(directory, 'manifest.json', '11.0-dev+git', '11.1'))]), { code: 'MERGE_VERSIONS', message: /Zulip 11\.\S+ and 11/ });
  t.match(await refused([made.a, copy((directory) => edit(directory, 'messages-000001.json', '"content":"', '"content":"!'))]), { code: 'EXPORT_CHANGED' });
  const signed = async (file: string, from: string, to: string): Promise<string> => {
    const directory = copy((each) => edit(each, file, from, to));
    await sign(directory);
    return directory;
  };
  t.match(await refused([made.a, await signed('messages-000001.json', '"message":', '"message":0.')]), { code: 'JSON_DAMAGED', table: 'zerver_usermessage', message: /^a usermessage of \/.*messages-000001\.json names no message$/ });
  t.match(await refused([made.a, await signed('messages-000001.json', '"message":', '"message":9999999')]), { code: 'JSON_DAMAGED', table: 'zerver_usermessage', message: /^the message of 1 usermessage of \/\S+ is not in the same file$/ });
  t.match(await refused([made.a, await signed('report.json', '"rows_left_out": [', '"rows_left_out": [[}')]), { code: 'JSON_DAMAGED', message: /^\/.*report\.json: not valid JSON at byte \d+$/ });
  const [upload] = readdirSync(join(made.full, 'uploads'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name !== 'records.json').map((entry) => relative(made.full, join(entry.parentPath, entry.name)));
  t.match(await refused([made.a, copy((directory) => {
    const bytes = readFileSync(join(directory, upload as string));
    bytes[0] = (bytes[0] as number) ^ 1;
    writeFileSync(join(directory, upload as string), bytes);
  })]), { code: 'EXPORT_CHANGED' });
});
