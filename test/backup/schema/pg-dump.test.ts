/** pg_dump has a connection of its own, which may hang alone. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { withSchema } from '../../../src/backup/schema/pg-dump.js';
import { connectionSettings, type ConnectionSettings } from '../../../src/snapshot/connection-settings.js';
import { withSnapshot } from '../../../src/snapshot/snapshot.js';
import { FaultyConnection } from '../../snapshot/faulty-connection.js';
import { withTestDatabase } from '../../testbed/test-database.js';
import { NEEDS_PG_DUMP, query } from '../test-backup.js';

t.setTimeout(180_000);

/** Milliseconds; 20 s in earnest. Within fifteen of them a pg_dump of which nothing comes is ended. */
const SILENCE = 300;
const PATIENCE = 15 * SILENCE;

/** Hangs the connection whose client sends one of the words. */
async function hangingAt(database: string, words: string, work: (settings: ConnectionSettings, hung: Promise<void>) => Promise<void>): Promise<void> {
  const proxy = await FaultyConnection.open(database, '&connect_timeout=2');
  const hung = new Promise<void>((resolve) => {
    proxy.onSent = (bytes, hang) => {
      if (!bytes.includes(words)) return;
      hang();
      resolve();
    };
  });
  try {
    await work({ ...connectionSettings(proxy.url, {}), silence: SILENCE }, hung);
  } finally {
    proxy.close();
  }
}

/** pg_dump, which first says its process. */
function telling(directory: string): { program: string; isGone: () => Promise<boolean> } {
  const [program, file] = [join(directory, 'pg_dump'), join(directory, 'pid')];
  writeFileSync(program, `#!/bin/sh\necho $$ > ${file}\nexec pg_dump "$@"\n`);
  chmodSync(program, 0o755);
  const isGone = async (): Promise<boolean> => {
    const pid = Number(readFileSync(file, 'utf8'));
    for (let n = 0; n < 100 && existsSync(`/proc/${pid}`); n++) await sleep(20);
    return !existsSync(`/proc/${pid}`);
  };
  return { program, isGone };
}

t.test('a connection that carries nothing any more', NEEDS_PG_DUMP, async (t) => withTestDatabase('zulip-11/local', async (database) => {
  for (const [when, words, error] of [
    ['at its login', 'application_name\0realmlift pg_dump', { code: 'PG_DUMP_FAILED', message: /timeout expired/ }],
    ['when it locks tables', 'LOCK TABLE', { code: 'CONNECTION_STALLED', stage: 'backup', message: /pg_dump's connection.*waits for it/ }],
    ['while it reads the schema', 'FROM pg_depend', { code: 'CONNECTION_STALLED', stage: 'backup' }],
  ] as const) {
    await hangingAt(database, words, async (settings) => {
      const { program, isGone } = telling(t.testdir());
      const work = withSnapshot(settings, (snapshot) => withSchema(program, snapshot, 'pre-data', 'UTF8', text));
      await t.rejects(Promise.race([work, sleep(4 * PATIENCE, undefined, { ref: false }).then(() => { throw new Error('nothing came of it'); })]), error, when);
      t.ok(await isGone(), `${when}: pg_dump ends`);
    });
  }
}));

t.test('a run that is stopped meanwhile leaves no pg_dump behind', NEEDS_PG_DUMP, async (t) => withTestDatabase('zulip-11/local', async (database) => {
  await hangingAt(database, 'LOCK TABLE', async (settings, hung) => {
    const { program, isGone } = telling(t.testdir());
    const stop = new AbortController();
    const work = withSnapshot(settings, (snapshot) => withSchema(program, snapshot, 'pre-data', 'UTF8', text), { signal: stop.signal });
    void hung.then(() => stop.abort(new Error('stopped')));
    await t.rejects(work, { message: 'stopped' });
    t.ok(await isGone());
  });
}));

t.test('what takes long is no stall', NEEDS_PG_DUMP, async (t) => withTestDatabase('zulip-11/local', async (database) => {
  const settings = { ...connectionSettings(database, {}), silence: SILENCE };
  await query(database, `DO $$ BEGIN FOR n IN 1..400 LOOP EXECUTE format('CREATE TABLE public.wide_%s (%s)', n, (SELECT string_agg(format('column_%s text NOT NULL', c), ', ') FROM generate_series(1, 40) c)); END LOOP; END $$`);
  let script = '';
  await withSnapshot(settings, (snapshot) => withSchema('pg_dump', snapshot, 'pre-data', 'UTF8', async (sql) => {
    for await (const chunk of sql) {
      if (script === '') await sleep(2 * PATIENCE);
      script += String(chunk);
    }
  }));
  t.match(script, /PostgreSQL database dump complete/);
}));
