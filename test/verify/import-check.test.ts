import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkImport, type ImportCheck } from '../../src/import-check.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { realmlift } from '../cli/command-line.js';
import { withNewServer } from '../pipe/new-server.js';
import { change } from '../testbed/database-client.js';
import { sampleExport } from '../pipe/sample-export.js';
import { withTestDatabase } from '../testbed/test-database.js';

const output = t.testdir();
const [acme, user] = await withTestDatabase('zulip-11/local', async (url) => [
  ...await sampleExport(url, { realm: 'acme', output }), ...await sampleExport(url, { realm: 'acme', users: ['owner@acme.example'], mode: 'user', output }),
]) as [string, string];

type Told = Record<ImportCheck['name'], string>;

async function checks(directory: string, target?: string, subdomain?: string): Promise<Told> {
  const found = await checkImport(directory, { target: target === undefined ? undefined : connectionSettings(target, {}), subdomain, uploadsDir: undefined });
  return Object.fromEntries(found.map(({ name, outcome, what }) => [name, `${outcome}: ${what}`])) as Told;
}

t.test('without the new server much remains unknown', async (t) => {
  const told = await checks(acme);
  for (const name of ['manifest', 'rows', 'files', 'kind', 'disk'] as const) t.match(told[name], /^good: /, name);
  for (const name of ['version', 'migrations', 'columns', 'subdomain', 'bots', 'ids'] as const) t.match(told[name], /^unknown: --target-url /, name);
  t.match(await checks(user), { kind: /^failed: a single user's export/ });
  await t.rejects(checkImport(acme, { target: undefined, subdomain: undefined, uploadsDir: join(output, 'none') }).then((all) => {
    if (all.some(({ name, outcome }) => name === 'disk' && outcome === 'failed')) throw new Error('no such directory');
  }), { message: 'no such directory' });
});

t.test('what the import would stumble over', (t) => withNewServer(async (target) => {
  const told = await checks(acme, target, 'acme2');
  t.same(Object.values(told).filter((each) => !each.startsWith('good: ')), []);
  t.match(await checks(acme, target), { subdomain: /^failed: "acme" is taken/ });
  await change(target, `
    SET session_replication_role = replica;
    DELETE FROM zerver_userprofile WHERE delivery_email = 'welcome-bot@zulip.com';
    SELECT setval(pg_get_serial_sequence('zerver_stream', 'id'), 2147483645);
    ALTER TABLE zerver_stream DROP COLUMN can_add_subscribers_group_id CASCADE;
    DELETE FROM django_migrations WHERE app = 'zerver' AND name LIKE '069%'`);
  t.match(await checks(acme, target, 'acme2'), {
    version: /^failed: the export is of Zulip 11\.0-dev\+git, the new server of Zulip 10 /, migrations: /^failed: other migrations .* of zerver/,
    columns: /^failed: the new server's zerver_stream has no can_add_subscribers_group/, subdomain: /^good/,
    bots: /^failed: the new server lacks the system bots welcome-bot@zulip\.com/, ids: /^failed: the ids of zerver_stream would pass 2147483647/,
  });
  const [upload] = readdirSync(join(acme, 'uploads'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name !== 'records.json');
  writeFileSync(join(upload?.parentPath ?? '', upload?.name ?? ''), 'other');
  const damaged = await realmlift(['import-check', acme, '--target-url', target]);
  t.match(damaged, { code: 1, stderr: '', stdout: /^FAILED +manifest +uploads\/.* another size\n/ });
  t.match(damaged.stdout, /\nFAILED +files +uploads\/.*\n- +kind +the export is damaged\n/);
}));
