/** Loads and updates on servers of other versions, which have other realms already, and their system bots. */
import { join } from 'node:path';
import t from 'tap';
import { HAPPENINGS, HISTORY_FUNCTIONS, randomFrom } from '../export/realm-history.js';
import { query } from '../export/grown-database.js';
import { exportFrom, only } from '../export/test-source.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { withClient } from '../testbed/database-client.js';
import { LONG } from '../testbed/long-tests.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { emptyUploads, filesBelow, load, update } from './new-server.js';
import { differingLoads } from './same-realm.js';

const output = t.testdir();
const HAPPENED = ['messages written', 'messages edited', 'messages deleted', 'flags set', 'settings and profiles changed', 'somebody subscribes, or leaves'];

/** Users and channels whose address leads to somebody else. */
async function strangersAddresses(url: string): Promise<unknown[]> {
  return withClient(url, async (client) => {
    await client.query('SET search_path = zulip');
    const { rows } = await client.query<{ type: number; id: number }>(`
      SELECT owner.type, owner.id FROM (SELECT 1 AS type, id, recipient_id FROM zerver_userprofile UNION ALL SELECT 2, id, recipient_id FROM zerver_stream) AS owner
      JOIN zerver_recipient r ON r.id = owner.recipient_id WHERE (r.type, r.type_id) <> (owner.type, owner.id)`);
    return rows;
  });
}

for (const dataset of ['zulip-12/local', 'zulip-4/local', ...(LONG ? ['zulip-8/local'] as const : [])] as const) {
  t.test(dataset, async (t) => withTestDatabase(dataset, async (source) => withTestDatabase(dataset, async (url) => withTestDatabase(dataset, async (fresh) => {
    const uploadsDir = await uploadsDirectory(dataset);
    const exported = async (name: string): Promise<string> => only(await exportFrom({ dataset, url: source, openStore: () => openLocalStore({ uploadsDir }) }, join(output, dataset, name), ['acme'], { verify: false, force: true })).directory;
    for (const each of [url, fresh]) {
      // The realms that are there are others.
      await query(each, "UPDATE zulip.zerver_realm SET string_id = 'elsewhere' WHERE string_id = 'acme'");
      if (dataset !== 'zulip-4/local') for (const table of ['zerver_realm', 'zerver_userprofile']) await query(each, `UPDATE zulip.${table} SET uuid = md5('other' || id)::uuid`);
    }
    const [uploads, freshUploads] = [emptyUploads(), emptyUploads()];
    await load(await exported('base'), url, uploads);
    t.same(await strangersAddresses(url), [], 'an address is one of their own, or there is none');
    await query(source, HISTORY_FUNCTIONS);
    const random = randomFrom(3);
    for (const name of HAPPENED) for (const statement of HAPPENINGS[name]?.(random) ?? []) await query(source, statement);
    const next = await exported('next');
    const { added, changed, removed } = await update(next, url, uploads);
    t.ok(added > 0 && changed > 0 && removed > 0, `${added} added, ${changed} changed, ${removed} removed`);
    await load(next, fresh, freshUploads);
    t.same(await differingLoads(fresh, url), []);
    t.same(filesBelow(uploads), filesBelow(freshUploads));
  }))));
}
