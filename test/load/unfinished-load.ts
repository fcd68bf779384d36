/** A load that is killed is seen by nobody, and can be gone on with or removed. */
import { readdirSync, statSync, type Dirent } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { withClient } from '../testbed/database-client.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { compareDatabases } from './compare-databases.js';
import { killedLoad, loadCommand } from './killed-load.js';
import { digests, emptyUploads, undo } from './new-server.js';

async function unseen(t: Test, url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ seen: boolean }>("SELECT NOT deactivated AS seen FROM zulip.zerver_realm WHERE string_id <> 'zulipinternal'");
    const unfinished = (await client.query("SELECT FROM pg_namespace WHERE nspname = 'realmlift_load_acme'")).rowCount === 1;
    t.notOk(unfinished && rows.some(({ seen }) => seen), 'nobody sees the realm');
  });
}

/** @param moments steps after which the load is killed; nearly fifty are all */
export async function killedAndResumed(t: Test, acme: string, moments: readonly number[]): Promise<void> {
  await withTestDatabase('zulip-11/new-server', async (url) => withTestDatabase('zulip-11/after-import', async (real) => {
    const uploads = emptyUploads();
    for (const moment of moments) {
      await killedLoad(acme, url, uploads, moment, '--resume');
      await unseen(t, url);
    }
    const again = await loadCommand(acme, url, uploads);
    if (again.code === 3 && again.stderr.includes('LOAD_UNFINISHED')) {
      t.match(again.errors.at(-1), /an earlier load of acme is unfinished \(go on with it by --resume, or remove it by --undo\)/);
      const { code, stderr } = await loadCommand(acme, url, uploads, '--resume');
      t.equal(code, 0, stderr);
    }
    t.same((await compareDatabases(real, url)).differences, []);
    const there = readdirSync(uploads, { recursive: true, withFileTypes: true });
    t.equal(there.filter((each) => each.isFile()).length, 56);
    const mode = ({ parentPath, name }: Dirent): number => statSync(join(parentPath, name)).mode & 0o777;
    t.same(there.filter((each) => mode(each) !== (each.isFile() ? 0o644 : 0o755)).map(({ name }) => name), [], "the new server's processes may read them, as its own uploads");
  }));
}

export async function killedAndRemoved(t: Test, acme: string, moments: readonly number[]): Promise<void> {
  await withTestDatabase('zulip-11/new-server', async (url) => {
    const uploads = emptyUploads();
    const before = await digests(url);
    for (const moment of moments) {
      await killedLoad(acme, url, uploads, moment);
      await unseen(t, url);
      // Statistics are counted every hour, of all realms.
      await withClient(url, (client) => client.query("INSERT INTO zulip.analytics_realmcount (realm_id, property, end_time, value) SELECT id, 'meanwhile', now(), 1 FROM zulip.zerver_realm WHERE string_id = 'acme'"));
      const { code, stderr } = await loadCommand(acme, url, uploads, '--undo');
      if (code === 3) {
        // The kill came too late.
        t.match(stderr, /none of an unfinished load/);
        return;
      }
      t.equal(code, 0, stderr);
      t.same(await digests(url), before);
      t.same(readdirSync(uploads, { recursive: true, withFileTypes: true }).filter((each) => each.isFile()), []);
    }
    t.same(await undo(url, uploads), { rows: 0, files: 0, clientsKept: 0 });
  });
}
