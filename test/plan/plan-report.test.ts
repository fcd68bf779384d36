/** What `realmlift plan` says: of one realm, and of many at once, which must agree, and with the export itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { planReport, type PlanOptions } from '../../src/commands/plan.js';
import type { Planned, PlannedExport } from '../../src/planning/planned-export.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { realmliftHere as realmlift } from '../cli/command-here.js';
import { sampleExport } from '../pipe/sample-export.js';
import { change, withClient } from '../testbed/database-client.js';
import { withTestDatabase } from '../testbed/test-database.js';

function plan(url: string, realms: readonly string[] | 'all', mode: 'full' | 'consent' = 'full'): Promise<Planned[]> {
  const options: PlanOptions = {
    settings: connectionSettings(url, {}), patience: { timeout: undefined, onWait: () => undefined }, zulipVersion: undefined, targets: { realms, exclude: [], users: undefined, approved: undefined, allowUnknown: false },
    request: { mode, consentMessage: undefined, force: false, decisions: { strip: new Set(), keep: new Set() } },
  };
  return planReport(options, () => undefined);
}

for (const dataset of ['zulip-11/local', 'zulip-4/local'] as const) {
  t.test(`${dataset}: realms together and one by one`, async (t) => withTestDatabase(dataset, async (url) => {
    const many = await plan(url, 'all');
    t.ok(many.length > 1);
    for (const each of many) t.same(await plan(url, [each.target]), [each], each.target);
  }));
}

t.test('what the export then holds', async (t) => withTestDatabase('zulip-11/local', async (url) => {
  const [acme] = await plan(url, ['acme', 'globex']) as PlannedExport[];
  const [directory = ''] = await sampleExport(url, { realm: 'acme', output: t.testdir() });
  const report = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as { rows: Record<string, number>; rows_left_out: { what: string; count: number }[]; files: { uploads: { found: number; bytes: number } } };
  for (const { table, rows, estimated } of acme?.tables ?? []) if (!estimated) t.equal(rows, report.rows[table] ?? 0, table);
  t.equal(acme?.messages, report.rows['zerver_message']);
  t.same(acme?.leftOut.map(({ what, rows }) => ({ what, count: rows })), report.rows_left_out.map(({ what, count }) => ({ what, count })));
  t.same(acme?.files, { uploads: report.files.uploads.found, bytes: report.files.uploads.bytes });
}));

t.test('by words', async (t) => withTestDatabase('zulip-11/local', async (url) => {
  const env = { DATABASE_URL: url };
  const lines = (text: string): string[] => text.trimEnd().split('\n');
  await t.test('many: one line a realm, the largest first, and what it comes to', async (t) => {
    const { code, stdout, stderr } = await realmlift(['plan', '--all-realms', '--exclude', 'closed', '--output', join(t.testdir(), 'not', 'there')], env);
    t.match({ code, stderr }, { code: 0, stderr: '' });
    const [head, ...rows] = lines(stdout);
    t.match(head, /^realm +users +messages +files +disk +stays$/);
    t.same(rows.slice(0, 3).map((row) => row.split(/\s/)[0]), ['acme', 'globex', 'tiny']);
    t.match(rows[3], /^3 in all +/);
    t.ok(lines(stdout).slice(0, 5).every((line) => line.length < 80));
    t.match(stdout, /\ndisk: about [\d.]+ MiB of [\d.]+ [GT]iB that are free at \S+; about [\d.]+ s, and the time of the files\n/);
  });

  await t.test('one, and --verbose: table by table', async (t) => {
    const one = await realmlift(['plan', '--realm', 'acme'], env);
    t.match(one.stdout, /^acme \(full\): Zulip 11/);
    t.match(one.stdout, / stays: 1 unsafe_group_message: /);
    t.match(one.stdout, /\ndisk: about .* that are free at /);
    const verbose = await realmlift(['plan', '--verbose'], env);
    t.match(verbose.stdout, one.stdout.replace(/disk: .*\n$/, ''));
    t.match(verbose.stdout, /\nrealm +users/);
  });

  await t.test('as JSON: one object, events apart; quiet is quiet', async (t) => {
    const { stdout, errors } = await realmlift(['plan', '--json'], env);
    const result = JSON.parse(stdout) as { exports: { target: string; users: number }[]; totals: Record<string, number> };
    t.same(result.exports.map(({ target }) => target), ['acme', 'closed', 'globex', 'tiny']);
    t.equal(result.totals['users'], result.exports.reduce((sum, { users }) => sum + users, 0));
    t.ok((result.totals['free'] ?? 0) > 0);
    t.ok(errors.length > 0 && errors.every((line) => (JSON.parse(line) as { kind: string }).kind === 'progress'));
    t.match(await realmlift(['plan', '--quiet'], env), { code: 0, stdout: '', stderr: '' });
  });

  await t.test('what would be refused is marked, and ends nothing but with its exit code', async (t) => {
    await withClient(url, async (client) => {
      const ids = Object.fromEntries((await client.query<{ string_id: string; id: number }>('SELECT string_id, id::float8 AS id FROM zulip.zerver_realm')).rows.map(({ string_id: name, id }) => [name, id]));
      await client.query('UPDATE zulip.zerver_stream SET can_send_message_group_id = (SELECT min(id) FROM zulip.zerver_usergroup WHERE realm_id = $2) WHERE id = (SELECT min(id) FROM zulip.zerver_stream WHERE realm_id = $1)', [ids['acme'], ids['globex']]);
      // The administrators' group would take the other's place.
      await client.query("UPDATE zulip.zerver_namedusergroup SET name = 'others' WHERE name = 'role:administrators' AND realm_id = $1", [ids['acme']]);
    });
    const many = await realmlift(['plan'], env);
    t.equal(many.code, 3, many.stderr);
    t.match(many.stdout, /\n! 1 export would be refused: acme: REFERENCE_OUTSIDE: zerver_stream/);
    t.match(many.stdout, /^3 in all/m);
    const json = JSON.parse((await realmlift(['plan', '--json'], env)).stdout) as { exports: unknown[] };
    t.match(json.exports[0], { target: 'acme', refused: { code: 'REFERENCE_OUTSIDE' } });
    t.match(await realmlift(['plan', '--realm', 'acme'], env), { code: 3, stdout: '', stderr: /^realmlift: REFERENCE_OUTSIDE \[plan/ });
    // In another mode realm by realm.
    await change(url, "UPDATE zerver_userprofile SET role = 400 WHERE role = 100 AND realm_id = (SELECT id FROM zerver_realm WHERE string_id = 'tiny')");
    const consent = await realmlift(['plan', '--mode', 'consent', '--realm', 'tiny', '--realm', 'globex'], env);
    t.equal(consent.code, 3);
    t.match(consent.stdout, /\n! 1 export would be refused: tiny: NO_OWNER/);
  });
}));
