/**
 * Every table of every catalogue that the project ships is either exported by a view or listed with the reason why not: a new
 * release's catalogue or sql/known file fails here until each of its tables is one or the other.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { compileRegistry } from '../../src/plan/views/compile-view.js';
import { hold, MODES } from '../../src/plan/views/condition.js';
import { packageRoot } from '../../src/package-root.js';
import { loadRegistry, reasonNotExported } from '../../src/plan/views/registry.js';
import { reviewSchema } from '../../src/plan/views/schema-review.js';
import { readSource } from '../../src/plan/source.js';
import { testData } from '../testbed/test-data.js';
import type { Dataset } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';

const registry = loadRegistry();
/** Newest migration of the servers whose catalogues these are. */
const MIGRATIONS: Readonly<Record<string, number>> = { 'zulip-4': 359, 'zulip-8': 517, 'zulip-11': 697, 'zulip-12': 792 };
const views = new Map([...registry.tables.values()].map((view) => [view.table, view]));

/** Zulip collects these with the messages and writes them to realm.json. */
const STREAMED = new Set(['zerver_client', 'zerver_reaction', 'zerver_submessage']);

/** True when servers of this migration export the table, if they have it. */
function travels(table: string, zerverMigration: number): boolean {
  const { since } = views.get(table) ?? {};
  return since !== undefined && hold(since, { mode: 'full', catalog: new Map(), zerverMigration });
}

/** Why a table is neither, or both. */
function fault(table: string): string | undefined {
  const reason = reasonNotExported(registry, table);
  if (views.has(table)) return registry.notExported.has(table) ? `${table} has a view and a reason to have none` : undefined;
  return reason === undefined ? `${table} has no view in sql/ and no line in sql/not-exported.txt` : reason === '' ? `${table} has no reason` : undefined;
}

t.test('a table that nothing classifies is found', (t) => {
  t.equal(fault('zerver_newthing'), 'zerver_newthing has no view in sql/ and no line in sql/not-exported.txt');
  t.end();
});

for (const release of readdirSync(testData()).filter((name) => name.startsWith('zulip-'))) {
  t.test(`tables of ${release}/catalogue.json`, (t) => {
    const catalogue = JSON.parse(readFileSync(testData(release, 'catalogue.json'), 'utf8')) as { where_exported: Record<string, string>; tables: Record<string, unknown> };
    const tables = [...new Set([...Object.keys(catalogue.tables), ...Object.keys(catalogue.where_exported)])].filter((table) => !table.startsWith('_'));
    t.ok(tables.length > 70);
    t.same(tables.map(fault).filter((each) => each !== undefined), []);
    for (const [table, file] of Object.entries(catalogue.where_exported)) {
      if (file === 'm2m') t.match(reasonNotExported(registry, table), /^folded into /, `${table} is part of another table's rows`);
      else if (file === 'not exported') t.notOk(travels(table, MIGRATIONS[release] as number), `${table} is not exported by Zulip`);
      else t.equal(travels(table, MIGRATIONS[release] as number) ? views.get(table)?.file : undefined, STREAMED.has(table) ? 'realm.json' : file, `${table} goes to ${file}`);
    }
    t.end();
  });
}

for (const file of readdirSync(join(packageRoot(), 'sql', 'known'))) {
  t.test(`tables of sql/known/${file}`, (t) => {
    const tables = readFileSync(join(packageRoot(), 'sql', 'known', file), 'utf8').split('\n').filter((line) => line.includes(': ') && !line.startsWith('#')).map((line) => line.split(': ')[0] as string);
    t.ok(tables.length > 50);
    t.same(tables.map(fault).filter((each) => each !== undefined), []);
    t.end();
  });
}

for (const dataset of ['zulip-12/local', 'zulip-11/local', 'zulip-8/local', 'zulip-4/local'] satisfies Dataset[]) {
  t.test(`the live schema of ${dataset} holds nothing unknown`, async (t) => {
    await withTestDatabase(dataset, async (url) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        await client.query('BEGIN');
        const { catalog, version } = await readSource(client, undefined);
        for (const mode of MODES) {
          const compiled = compileRegistry(registry, { mode, catalog, zerverMigration: version.zerverMigration }, { strip: new Set(), keep: new Set() });
          const { unknownTables, unknownColumns, unboundReferences } = reviewSchema(registry, catalog, compiled, { strip: new Set(), keep: new Set() });
          t.same({ unknownTables, unknownColumns, unboundReferences }, { unknownTables: [], unknownColumns: [], unboundReferences: [] }, mode);
        }
      } finally {
        await client.end();
      }
    });
  });
}
