// sql/ is the registry: every file of it is sound, and every table that a Zulip server has is accounted for.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import t from 'tap';
import { readCatalog, type Catalog } from '../../src/plan/views/catalog.js';
import { checkView, type ViewRules } from '../../src/plan/views/check-view.js';
import { compileRegistry, withSelections, type CompiledRegistry, type CompiledView, type Decisions } from '../../src/plan/views/compile-view.js';
import { hold, MODES, type Mode } from '../../src/plan/views/condition.js';
import { inline, type Parameters } from '../../src/plan/parameters.js';
import { planTables } from '../../src/plan/plan-tables.js';
import { packageRoot } from '../../src/package-root.js';
import { DATA_CLASSES, loadRegistry, reasonNotExported } from '../../src/plan/views/registry.js';
import { parseViewFile } from '../../src/plan/views/view-file.js';
import { withClient } from '../testbed/database-client.js';
import { testData, type Dataset } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';

interface Catalogue {
  readonly where_exported: Readonly<Record<string, string>>;
  readonly tables: Readonly<Record<string, { readonly columns: Readonly<Record<string, { readonly key: string }>> }>>;
}

const registry = loadRegistry();
const NO_DECISIONS: Decisions = { strip: new Set(), keep: new Set() };
/** Keys that Zulip's export gives, not its models. */
const FLAGS: Readonly<Record<string, string>> = { 'zerver_usermessage.flags': 'flags_mask', 'zerver_onboardingusermessage.flags': 'flags_mask' };
const RELEASES = [['zulip-12', 'zulip-12/local', 792], ['zulip-11', 'zulip-11/local', 697], ['zulip-8', 'zulip-8/local', 517]] as const;
const PARAMETERS: Parameters = {
  realm_id: 2, realm_ids: [2], user_id: 8, system_bot_ids: [1, 4, 5], cross_realm_bot_ids: [1, 4, 5], bot_group_ids: [7], consenting_user_ids: [], avatarless_user_ids: [], message_client_ids: [], message_client_realm_ids: [], missing_attachment_ids: [], seed: "quo'ted",
};

async function withCatalog<T>(dataset: Dataset, work: (client: pg.Client, catalog: Catalog) => Promise<T>): Promise<T> {
  return withTestDatabase(dataset, (url) => withClient(url, async (client) => work(client, await readCatalog(client, 'zulip'))));
}

const compile = (catalog: Catalog, mode: Mode, zerverMigration: number, decisions = NO_DECISIONS): CompiledRegistry =>
  compileRegistry(registry, { mode, catalog, zerverMigration }, decisions);

t.test('every SELECT of every file passes the gate, whatever the circumstances it is for', (t) => {
  const views = [...registry.tables.values(), ...registry.selections.values(), ...registry.ledger];
  const folded = [...registry.notExported].filter(([, reason]) => reason.startsWith('folded')).map(([table]) => table);
  const rules: ViewRules = {
    tables: new Set([...[...registry.tables.values()].map(({ table }) => table), ...folded]), selections: new Set(registry.selections.keys()),
    secrets: new Map(views.map(({ table, strip, omit }) => [table, new Set([...strip, ...omit])])), stripped: new Set(),
  };
  for (const { name, dataClass, selects, shared, comment } of views) {
    t.ok(comment.length > 5, `${dataClass}/${name} says what it is`);
    for (const { sql } of selects) t.doesNotThrow(() => checkView(name, sql, rules, shared), `${dataClass}/${name}`);
  }
  t.strictSame(views.filter(({ shared }) => shared).map(({ name }) => name), ['zerver_client'], 'one table is shared by all realms');
  t.end();
});

for (const [release, dataset, migration] of RELEASES) {
  const catalogue = JSON.parse(readFileSync(testData(release, 'catalogue.json'), 'utf8')) as Catalogue;
  const whereExported = (table: string): string => catalogue.where_exported[table] ?? 'not exported';

  t.test(release, async (t) => withCatalog(dataset, async (client, catalog) => {
    await t.test('every table is exported, folded into another, or listed with the reason', (t) => {
      const views = new Set([...registry.tables.values()].map(({ table }) => table));
      const travelling = new Set([...registry.tables.values()].filter(({ since }) => hold(since, { mode: 'full', catalog, zerverMigration: migration })).map(({ table }) => table));
      for (const table of new Set([...catalog.keys(), ...Object.keys(catalogue.tables), ...Object.keys(catalogue.where_exported)])) {
        const reason = reasonNotExported(registry, table);
        t.equal(travelling.has(table), !['not exported', 'm2m'].includes(whereExported(table)), `${table}: as Zulip does`);
        t.equal(views.has(table), reason === undefined, `${table}: either exported or listed`);
        if (whereExported(table) === 'm2m') t.match(reason, /^folded into zerver_\w+ as /, `${table}: folded`);
      }
      t.end();
    });

    await t.test("every column is written under the key that Zulip's models give it", (t) => {
      const compiled = compile(catalog, 'full', migration);
      for (const { name, columns, keys } of planTables(compiled, registry, catalog, 'full')) {
        if (name === 'zerver_userprofile_crossrealm') continue;
        const table = compiled.tables.get(name)?.view.table ?? name;
        const known = catalogue.tables[table]?.columns ?? {};
        t.strictSame(keys, columns.map((column) => FLAGS[`${table}.${column}`] ?? known[column]?.key ?? column), name);
        t.strictSame(Object.keys(known).filter((column) => !columns.includes(column) && compiled.secrets.get(table)?.has(column) !== true), [], `${name}: whole`);
      }
      t.end();
    });

    for (const mode of MODES) {
      await t.test(`${mode}: the server takes every query, and each has the columns that it is said to have`, async (t) => {
        await client.query('SET search_path = pg_catalog, zulip');
        const compiled = compile(catalog, mode, migration);
        for (const view of [...compiled.tables.values(), ...compiled.ledger]) {
          const select = inline(withSelections(view, compiled.selections), PARAMETERS).replaceAll(':message_ids', "'{}'::bigint[]");
          const { fields } = await client.query(`SELECT * FROM (${select}) AS described LIMIT 0`);
          t.strictSame(fields.map(({ name }) => name), view.columns, view.name);
          const secrets = compiled.secrets.get(view.view.table);
          t.notOk(view.columns.some((column) => secrets?.has(column)), 'none of them a secret');
          // The report may go where nobody agreed to be named: whoever is behind a row that stays may be of another realm.
          if (compiled.ledger.includes(view)) t.notOk(view.columns.some((column) => /^(user_profile|owner|acting_user|modified_user|sender|creator|author)_id$/.test(column)), 'nor anybody behind a row that stays');
        }
      });
    }
  }));
}

t.test('a new table is a new file', async (t) => {
  const directory = join(t.testdir(), 'sql');
  cpSync(join(packageRoot(), 'sql'), directory, { recursive: true });
  writeFileSync(join(directory, 'public_realm', 'zerver_novelty.sql'), '-- Something new.\n-- @file realm.json\n\nSELECT n.*\nFROM zerver_novelty n\nWHERE n.realm_id = :realm_id\n');
  await withCatalog('zulip-11/local', async (client) => {
    await client.query('CREATE TABLE zulip.zerver_novelty (id int, realm_id int REFERENCES zulip.zerver_realm, more text)');
    const extended = loadRegistry(directory);
    const catalog = await readCatalog(client, 'zulip');
    const compiled = compileRegistry(extended, { mode: 'full', catalog, zerverMigration: 697 }, NO_DECISIONS);
    const planned = planTables(compiled, extended, catalog, 'full').find(({ name }) => name === 'zerver_novelty');
    t.match(planned, { file: 'realm.json', dataClass: 'public_realm', keys: ['id', 'realm', 'more'] });
  });
});

t.test('names that must be quoted are checked as any other', async (t) => {
  const odd = ['we"ird "" name', 'we"ird', 'd.oubtful', "it's", 'quoted_1'];
  await withCatalog('zulip-11/local', async (client) => {
    await client.query('SET search_path = zulip');
    for (const table of ['zerver_userprofile', 'zerver_realmuserdefault']) {
      for (const column of odd) await client.query(`ALTER TABLE ${table} ADD COLUMN ${client.escapeIdentifier(column)} text DEFAULT '${table}'`);
    }
    const catalog = await readCatalog(client, 'zulip');
    const compiled = compile(catalog, 'consent', 697);
    const view = compiled.tables.get('zerver_userprofile') as CompiledView;
    const { rows } = await client.query<Record<string, string>>(inline(withSelections(view, compiled.selections), PARAMETERS));
    t.ok(rows.length > 0, 'the text with the names themselves runs');
    for (const column of odd) t.ok(rows.every((row) => row[column] === 'zerver_realmuserdefault'), `${column}: nobody consents, so everybody has the realm's default`);
    const stripped = (column: string): Decisions => ({ strip: new Set([`zerver_realmuserdefault.${column}`]), keep: new Set() });
    // --strip takes no name with a dot.
    for (const column of odd.filter((each) => !each.includes('.'))) t.throws(() => compile(catalog, 'consent', 697, stripped(column)), { code: 'COLUMN_NEEDED', message: `--strip zerver_realmuserdefault.${column}: no export can do without it` }, column);
  });
});

t.test('the folders are the data classes in processing order', (t) => {
  t.strictSame(DATA_CLASSES, ['public_realm', 'cross_realm', 'disjoint_user', 'recipient', 'file', 'message']);
  t.strictSame([...new Set([...registry.tables.values()].map(({ dataClass }) => dataClass))], [...DATA_CLASSES]);
  t.end();
});

t.test('a file that breaks the rules is refused before anything is read', async (t) => {
  const directory = join(t.testdir(), 'sql');
  cpSync(join(packageRoot(), 'sql'), directory, { recursive: true });
  await withCatalog('zulip-8/local', (_, catalog) => {
    const withFile = (text: string): CompiledRegistry => {
      writeFileSync(join(directory, 'public_realm', 'zerver_stream.sql'), text);
      return compileRegistry(loadRegistry(directory), { mode: 'full', catalog, zerverMigration: 517 }, NO_DECISIONS);
    };
    const head = '-- Channels.\n-- @file realm.json\n-- @strip email_token\n\n';
    const columns = withFile(`${head}SELECT s.* FROM zerver_stream s WHERE s.realm_id = :realm_id`).tables.get('zerver_stream')?.columns ?? [];
    t.ok(columns.includes('name') && !columns.includes('email_token'));
    t.throws(() => withFile(`${head}SELECT s.* FROM zerver_stream s`), { code: 'VIEW_REFUSED', table: 'zerver_stream' });
    t.throws(() => withFile(`${head}SELECT s.*, s.email_token AS note FROM zerver_stream s WHERE s.realm_id = :realm_id`), { code: 'VIEW_REFUSED' });
    t.throws(() => withFile(`${head}-- @defaults d, unless pg_sleep(9) IS NULL, except realm_id\nSELECT s.* FROM zerver_stream s JOIN zerver_realmuserdefault d ON d.realm_id = s.realm_id WHERE s.realm_id = :realm_id`), { code: 'VIEW_REFUSED', message: /pg_sleep/ }, 'also in what is put into the text only later');
    t.throws(() => withFile(`${head}DELETE FROM zerver_stream`), { code: 'VIEW_REFUSED' });
    return Promise.resolve();
  });
});

t.test('a file that cannot be read says where', (t) => {
  const refused: readonly (readonly [text: string, message: RegExp])[] = [
    ['-- Nothing.\n', /^sql\/message\/zerver_x\.sql:1: no SELECT$/],
    ['-- X.\n-- @file other.json\nSELECT 1', /^sql\/message\/zerver_x\.sql:2: no such file: other\.json$/],
    ['-- X.\n\n-- @word x\nSELECT 1', /^sql\/message\/zerver_x\.sql:3: no such directive: @word$/],
    ['-- @select mode whole\nSELECT 1', /^sql\/message\/zerver_x\.sql:1: "mode whole" is no condition$/],
    ['-- @since release > 3\nSELECT 1', /:1: "release > 3" is no condition$/],
    ['-- @since release >= 3.99\nSELECT 1', /:1: data\/zulip-releases\.json does not say from when the rules of release 3\.99 hold$/],
    ['-- @key id\nSELECT 1', /:1: @key COLUMN KEY$/],
    ['-- @keep token\nSELECT 1', /:1: @keep COLUMN REASON$/],
    ['-- @defaults d\nSELECT 1', /:1: @defaults/],
    ['-- @entry x\nSELECT 1', /:1: @entry/],
  ];
  for (const [text, message] of refused) t.throws(() => parseViewFile(text, 'message', 'zerver_x'), { code: 'VIEW_FILE', message }, text);
  t.end();
});
