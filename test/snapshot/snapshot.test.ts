import { createServer, connect as connectTo, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import type pg from 'pg';
import t from 'tap';
import { copyRows } from '../../src/copy/copy-rows.js';
import { atOnce } from '../../src/snapshot/at-once.js';
import { connect } from '../../src/snapshot/connect.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { joinSnapshot, withSnapshot } from '../../src/snapshot/snapshot.js';
import { withEmptyDatabase } from '../testbed/test-database.js';

const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

async function withSession<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect(connectionSettings(url, {}), 'test');
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Tables of the kind that an export reads. */
const TABLES = `
  CREATE TABLE message AS SELECT g AS id, 'content ' || g AS content FROM generate_series(1, 5000) g;
  CREATE TABLE reaction AS SELECT g AS id, g AS message_id FROM generate_series(1, 2000) g`;

/** All that a session sees of them. */
async function state(client: pg.Client): Promise<unknown> {
  const { rows } = await client.query(`
    SELECT (SELECT count(*) || md5(string_agg(id || content, ',' ORDER BY id)) FROM public.message) AS messages,
           (SELECT count(*) || md5(string_agg(id || ' ' || message_id, ',' ORDER BY id)) FROM public.reaction) AS reactions`);
  return rows[0];
}

t.test('every session sees the rows as they were, whatever others do meanwhile', async (t) => {
  await withEmptyDatabase(async (url) => {
    await withSession(url, (client) => client.query(`SET search_path = public; ${TABLES}`));
    await withSnapshot(connectionSettings(url, {}), async (snapshot) => {
      const before = await state(snapshot.client);
      const early = await joinSnapshot(snapshot, 'worker');
      t.strictSame(await state(early), before);
      await withSession(url, async (other) => {
        await other.query(`
          DELETE FROM public.message WHERE id % 2 = 0; UPDATE public.message SET content = 'edited' WHERE id % 3 = 0; INSERT INTO public.message VALUES (0, 'new');
          UPDATE public.reaction SET message_id = 1; DELETE FROM public.reaction WHERE id > 1000`);
        t.notSame(await state(other), before, 'the change is there');
      });
      const late = await joinSnapshot(snapshot, 'worker');
      for (const client of [snapshot.client, early, late]) t.strictSame(await state(client), before);
      await t.rejects(late.query('DELETE FROM public.reaction'), { code: '25006' }, 'sessions are read only');
      await Promise.all([early.end(), late.end()]);
    });
  });
});

t.test('a snapshot knows when it was taken and of which server it is', async (t) => {
  await withEmptyDatabase(async (url) => {
    await withSnapshot(connectionSettings(url, {}), async (snapshot) => {
      t.match(snapshot.takenAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      t.ok(Math.abs(Date.parse(snapshot.takenAt) - Date.now()) < 60_000);
      t.ok(snapshot.serverVersion >= 120000);
      t.notOk(snapshot.lost.aborted);
      await withSession(url, async (other) => {
        const { rows } = await other.query("SELECT state, application_name FROM pg_stat_activity WHERE application_name = 'realmlift snapshot' AND datname = current_database()");
        t.strictSame(rows, [{ state: 'idle in transaction', application_name: 'realmlift snapshot' }]);
      });
    });
    await withSession(url, async (other) => {
      const { rows } = await other.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'realmlift snapshot' AND datname = current_database()");
      t.strictSame(rows, [], 'released afterwards');
    });
  });
});

t.test('an error of the work is passed on as it is', async (t) => {
  await withEmptyDatabase(async (url) => {
    const own = new Error('the work failed');
    await t.rejects(withSnapshot(connectionSettings(url, {}), () => Promise.reject(own)), own);
    await t.rejects(withSnapshot(connectionSettings(url, {}), ({ client }) => client.query('SELECT 1/0')), { code: '22012' });
  });
});

t.test('a holder that is terminated fails the run by name, at once', async (t) => {
  await withEmptyDatabase(async (url) => {
    const terminate = (): Promise<unknown> => withSession(url, (other) => other.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'realmlift snapshot' AND datname = current_database()"));
    const settings = connectionSettings(url, {});
    const lost = { name: 'RealmliftError', code: 'SNAPSHOT_LOST', stage: 'snapshot' };

    let reason: unknown;
    await t.rejects(withSnapshot(settings, async (snapshot) => {
      await Promise.all([once(snapshot.lost, 'abort'), terminate()]);
      reason = snapshot.lost.reason;
    }), lost, 'work that ends by itself');
    t.match(reason, lost);

    await t.rejects(withSnapshot(settings, async (snapshot) => {
      await Promise.all([snapshot.client.query('SELECT pg_sleep(600)'), terminate()]);
    }), lost, 'while the holder itself is working');

    const started = performance.now();
    await t.rejects(withSnapshot(settings, async ({ lost: signal }) => {
      const told = new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('a worker was told'))));
      await Promise.all([told, terminate()]);
    }), lost, 'work that fails in consequence');
    t.ok(performance.now() - started < 4000, 'without waiting for the grace time');
  });
});

t.test('whoever asks a session that was just ended learns why', async (t) => {
  await withEmptyDatabase(async (url) => {
    const terminate = (): Promise<unknown> => withSession(url, (other) => other.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'realmlift %' AND application_name <> 'realmlift test' AND datname = current_database()"));
    const terminated = { code: '57P01', message: /terminating connection due to administrator command/ };
    for (const [name, endOf] of [
      ['idle', (client: pg.Client): Promise<unknown> => Promise.all([once(client, 'error').catch(() => undefined), terminate()])],
      ['at work', async (client: pg.Client): Promise<unknown> => Promise.all([t.rejects(client.query('SELECT pg_sleep(600)'), terminated), terminate()])],
    ] as const) {
      const client = await connect(connectionSettings(url, {}), 'worker');
      await endOf(client);
      await t.rejects(client.query('SELECT 1'), terminated, `${name}: a query`);
      await t.rejects(copyRows(client, 'SELECT 1', () => undefined, 'message'), { code: 'CONNECTION_LOST', message: /57P01/ }, `${name}: a COPY`);
      await client.end();
      await t.rejects(withSnapshot(connectionSettings(url, {}), async (snapshot) => {
        await endOf(snapshot.client);
        await snapshot.client.query('SELECT 1');
      }), { code: 'SNAPSHOT_LOST' }, `${name}: the holder`);
    }
  });
});

t.test('a session that ended while we were busy says why to who asks it next', async (t) => {
  await withEmptyDatabase(async (url) => {
    const client = await connect(connectionSettings(url, {}), 'worker');
    const { rows: [backend] } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    process.kill((backend as { pid: number }).pid, 'SIGTERM');
    const asking = atOnce(client, () => [1, 2, 3].map((number) => {
      sleepBusily(100);
      return client.query(`SELECT ${number}`);
    }));
    await t.rejects(asking, { code: '57P01', message: /terminating connection due to administrator command/ });
    await client.end();
  });
});

/** Nothing is read or sent meanwhile. @param duration in milliseconds */
function sleepBusily(duration: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, duration);
}

t.test('a worker that is terminated is not taken for the holder', async (t) => {
  await withEmptyDatabase(async (url) => {
    await t.rejects(withSnapshot(connectionSettings(url, {}), async (snapshot) => {
      const worker = await joinSnapshot(snapshot, 'worker');
      await worker.query('SELECT pg_terminate_backend(pg_backend_pid())').finally(() => worker.end());
    }), { code: '57P01' });
  });
});

t.test('work that does not stop cannot hold the run', async (t) => {
  await withEmptyDatabase(async (url) => {
    await t.rejects(withSnapshot(connectionSettings(url, {}), async () => {
      await withSession(url, (other) => other.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'realmlift snapshot' AND datname = current_database()"));
      await new Promise(() => undefined);
    }), { code: 'SNAPSHOT_LOST' });
  });
});

t.test('a connection that is cut fails the run too', async (t) => {
  await withEmptyDatabase(async (url) => {
    const { hostname, port } = new URL(url);
    const sockets: Socket[] = [];
    const proxy = createServer((inside) => {
      const outside = connectTo(Number(port), hostname);
      for (const socket of [inside, outside]) socket.on('error', () => undefined);
      sockets.push(inside, outside);
      inside.pipe(outside);
      outside.pipe(inside);
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const through = new URL(url);
    through.host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    await t.rejects(withSnapshot(connectionSettings(through.href, {}), async ({ lost }) => {
      const told = once(lost, 'abort');
      for (const socket of sockets) socket.resetAndDestroy();
      await told;
    }), { code: 'SNAPSHOT_LOST' });
    await t.rejects(withSnapshot(connectionSettings(through.href, {}), ({ client }) => {
      setTimeout(() => { for (const socket of sockets) socket.resetAndDestroy(); }, 100);
      return client.query('SELECT pg_sleep(60)');
    }), { code: 'SNAPSHOT_LOST' }, 'also in the midst of a query');
    proxy.close();
  });
});

t.test('a snapshot that is gone cannot be joined', async (t) => {
  await withEmptyDatabase(async (url) => {
    const settings = connectionSettings(url, {});
    const id = await withSnapshot(settings, (snapshot) => Promise.resolve(snapshot.id));
    await t.rejects(joinSnapshot({ settings, id, held: [] }, 'worker'), { code: 'SNAPSHOT_LOST' });
    await t.rejects(joinSnapshot({ settings, id: "' OR true --", held: [] }, 'worker'), { code: 'SNAPSHOT_LOST' });
    await withSession(url, async (other) => {
      const { rows } = await other.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'realmlift worker' AND datname = current_database()");
      t.strictSame(rows, [], 'and no session is left behind');
    });
  });
});

t.test('nothing was rejected behind our back', async (t) => {
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(unhandled, []);
});
