// If a view were wrong and a secret crossed the connection, the transform would still not write it.
import pg from 'pg';
import t from 'tap';
import { readCatalog } from '../../src/plan/views/catalog.js';
import { compileRegistry } from '../../src/plan/views/compile-view.js';
import { planTables } from '../../src/plan/plan-tables.js';
import { loadRegistry } from '../../src/plan/views/registry.js';
import { CopyToJson } from '../../src/transform/copy-to-json.js';
import type { OutputColumn } from '../../src/transform/output-column.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { copied } from './rows-by-reference.js';

/** What must not be written, whatever the query yields. Said here once more, and not taken from sql/. */
const USER = ['password', 'api_key', 'uuid', 'zoom_token', 'third_party_api_state'];
const SECRETS: Readonly<Record<string, readonly string[]>> = {
  zerver_userprofile: USER,
  zerver_userprofile_mirrordummy: USER,
  zerver_userprofile_crossrealm: USER,
  zerver_service: ['token'],
  zerver_botconfigdata: ['value'],
  zerver_stream: ['email_token'],
  zerver_realmexport: ['export_path'],
};

for (const [dataset, zerverMigration] of [['zulip-12/local', 792], ['zulip-11/local', 697], ['zulip-8/local', 517]] as const) {
  t.test(`${dataset}: rows with every column of the table, secrets too`, async (t) => {
    await withTestDatabase(dataset, async (url) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const catalog = await readCatalog(client, 'zulip').finally(() => client.end());
      const registry = loadRegistry();
      for (const mode of ['full', 'consent', 'public', 'user'] as const) {
        const compiled = compileRegistry(registry, { mode, catalog, zerverMigration }, { strip: new Set(['zerver_realm.uuid_owner_secret']), keep: new Set() });
        for (const { name, stripped } of planTables(compiled, registry, catalog, mode)) {
          const columns = [...new Set([...(catalog.get(compiled.tables.get(name)?.view.table ?? name)?.columns.keys() ?? []), ...(SECRETS[name] ?? [])])];
          let written = '';
          const texts = columns.map((key): OutputColumn => ({ key, kind: 'text' }));
          const encoder = new CopyToJson(texts, { write: (bytes) => { written += Buffer.from(bytes).toString(); } }, name, new Set(stripped));
          encoder.push(copied(texts, ['1', '2'].map((row) => columns.map((column) => `${column} of ${row}`))));
          encoder.end();

          const secrets = [...(SECRETS[name] ?? []), ...(name === 'zerver_realm' ? ['uuid_owner_secret'] : [])];
          const rows = JSON.parse(`[${written}]`) as Record<string, string>[];
          t.same(rows.map((row) => Object.keys(row)), [1, 2].map(() => columns.filter((column) => !secrets.includes(column))), `${mode} ${name}`);
          for (const secret of secrets) t.notMatch(written, `${secret} of`);
        }
      }
    });
  });
}
