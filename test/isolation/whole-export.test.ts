/**
 * Some random servers exported from end to end, in every mode: the same oracle, with workers, transform, files and verify between.
 *
 *   ISOLATION_EXPORTS=100   how many servers, half of them of Zulip 12 (default 4, of make test-kill 40)
 */
import fc from 'fast-check';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LONG } from '../testbed/long-tests.js';
import { differences } from './differences.js';
import { withIsolationDatabase } from './isolation-database.js';
import { oracle } from './oracle.js';
import { servers } from './server-arbitrary.js';
import { rowsOf, type Row } from './server-rows.js';
import { runExport } from '../../src/commands/export.js';
import { directoryOf, exportOne, exportOptions, readTables, withEpochTimestamps, writeUploads } from './whole-export.js';

const SERVERS = Number(process.env.ISOLATION_EXPORTS ?? (LONG ? 40 : 4));
const SEED = Number(process.env.ISOLATION_SEED ?? (LONG ? Math.floor(Math.random() * 2 ** 31) : 20250331));

for (const [half, release] of ([11, 12] as const).entries()) t.test(`random servers of Zulip ${release} from end to end, ISOLATION_SEED=${SEED}`, async (t) => {
  const directory = t.testdir({});
  await withIsolationDatabase(release, async (database) => {
    for (const [index, spec] of [...fc.sample(servers, { numRuns: SERVERS, seed: SEED }).entries()].filter(([number]) => (number >> 1) % 2 === half)) {
      await database.empty();
      const server = await database.load(rowsOf(spec, database.system));
      const realm = (server.zerver_realm ?? []).filter((each) => each.string_id !== 'zulipinternal')[spec.exported % spec.realms.length] as Row;
      const realmId = realm.id as number;
      const people = (server.zerver_userprofile ?? []).filter((user) => user.realm_id === realmId);
      const approved = people.filter((_, bit) => (spec.approved >> bit) % 2 === 1).map((user) => user.id as number);
      const single = people[spec.single % people.length] as Row;
      const uploads = join(directory, `uploads-${index}`);
      writeUploads(uploads, server);
      const options = { ...exportOptions(database.url, uploads, join(directory, String(index))), jobs: 1 + (index % 2) };
      const targets = { realms: [String(realm.string_id)], exclude: [], users: undefined, approved: undefined, allowUnknown: false };

      const mode = (['full', 'consent', 'public'] as const)[index % 3] as 'full' | 'consent' | 'public';
      const whole = await exportOne({ ...options, targets, mode });
      t.same(differences(withEpochTimestamps(oracle(server, { release, realmId, mode }).tables), readTables(whole)), [], `server ${index}, ${mode}`);

      // All realms of the server in one run, each held against what it is alone.
      const together = await runExport({ ...options, output: `${options.output}-all`, targets: { ...targets, realms: 'all' }, mode: 'full' });
      for (const outcome of together) {
        const { tables } = oracle(server, { release, realmId: outcome.target.realm.id, mode: 'full' });
        t.same(differences(withEpochTimestamps(tables), readTables(directoryOf(outcome))), [], `server ${index}, realm ${outcome.target.realm.id} of ${together.length} in one run`);
      }

      if (approved.length > 0) {
        const approvedFilesOnly = index % 2 === 0;
        const entries = approved.map((id) => ({ user: String(id), realm: undefined }));
        const part = await exportOne({ ...options, output: `${options.output}-approved`, targets: { ...targets, approved: entries }, mode: 'consent', approvedFilesOnly });
        const { tables, consenting } = oracle(server, { release, realmId, mode: 'consent', approved });
        if (approvedFilesOnly) tables.zerver_attachment = (tables.zerver_attachment ?? []).filter((row) => consenting.has(row.owner));
        t.same(differences(withEpochTimestamps(tables), readTables(part)), [], `server ${index}, approved, files ${approvedFilesOnly ? 'approved' : 'all'}`);
        const records = JSON.parse(readFileSync(join(part, 'uploads', 'records.json'), 'utf8')) as { path: string; user_profile_id: number }[];
        t.same(records.map((record) => record.path).sort(), (tables.zerver_attachment ?? []).map((row) => row.path_id).sort(), 'files of exactly these attachments');
        const others = (server.zerver_attachment ?? []).filter((row) => !records.some((record) => record.path === row.path_id));
        t.notOk(others.some((row) => existsSync(join(part, 'uploads', String(row.path_id)))), 'and no other file');
      }

      const users = [{ user: String(single.id), realm: undefined }];
      const one = await exportOne({ ...options, output: `${options.output}-user`, targets: { ...targets, users }, mode: 'user' });
      // Without a message there is no messages file.
      const own = { zerver_message: [], ...readTables(one) };
      t.same(differences(withEpochTimestamps(oracle(server, { release, realmId, mode: 'user', userId: single.id as number }).tables), own), [], `server ${index}, single user`);
    }
  });
});
