import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import t from 'tap';
import { copyIn, copyThrough } from '../../src/copy/copy-in.js';
import { copyRows } from '../../src/copy/copy-rows.js';
import { forCopying } from '../../src/copy/copy-socket.js';
import { connect } from '../../src/snapshot/connect.js';
import { connectionSettings, type ConnectionSettings } from '../../src/snapshot/connection-settings.js';
import { joinSnapshot, withSnapshot } from '../../src/snapshot/snapshot.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { FaultyConnection } from './faulty-connection.js';

/** Milliseconds; 20 s in earnest. */
const SILENCE = 300;

/** Within which every fault must have ended the work. */
const SOON = 6_000;

const BROKEN = { name: 'RealmliftError', code: 'PROTOCOL_BROKEN' };
const STALLED = { name: 'RealmliftError', code: 'CONNECTION_STALLED' };

let database: string;
let finish: () => void;
let dropped: Promise<void>;

t.before(async () => {
  database = await new Promise<string>((resolve, reject) => {
    dropped = withEmptyDatabase((url) => new Promise<void>((end) => {
      finish = end;
      resolve(url);
    }));
    dropped.catch(reject);
  });
});

t.after(async () => {
  finish();
  await dropped;
});

async function withProxy(work: (proxy: FaultyConnection, settings: ConnectionSettings) => Promise<void>): Promise<void> {
  const proxy = await FaultyConnection.open(database, '&connect_timeout=1');
  try {
    await work(proxy, { ...connectionSettings(proxy.url, {}), silence: SILENCE });
  } finally {
    proxy.close();
  }
}

/** Fails a promise that does not end in time. */
function soon<T>(work: Promise<T>): Promise<T> {
  return Promise.race([work, sleep(SOON, undefined, { ref: false }).then(() => { throw new Error(`nothing came of it in ${SOON} ms`); })]);
}

function message(code: string, length: number, body = ''): Buffer {
  const header = Buffer.alloc(5, code);
  header.writeUInt32BE(length, 1);
  return Buffer.concat([header, Buffer.from(body)]);
}

const GARBAGE: Readonly<Record<string, Buffer>> = {
  'another protocol': Buffer.from('HTTP/1.1 502 Bad Gateway\r\n\r\n'),
  'zeros': Buffer.alloc(100),
  'a row of 2 GB': message('D', 0x7fffffff, 'x'),
  'a long end of a query': message('C', 100_000, 'SELECT 1'),
  'a length below its own': message('D', 2),
  'a row that is shorter than its columns': message('D', 10, '\x00\x09\x00\x00\x10\x00'),
};

t.test('garbage while planning ends the run', async (t) => {
  for (const [name, bytes] of Object.entries(GARBAGE)) {
    await withProxy(async (proxy, settings) => {
      await t.rejects(soon(withSnapshot(settings, async ({ client }) => {
        const answer = client.query('SELECT pg_sleep(60)');
        setTimeout(() => proxy.inject(bytes), 100);
        await answer;
      })), { ...BROKEN, stage: 'plan' }, name);
    });
  }
});

t.test('a session that a standby ends just as it is asked something is told as that', async (t) => {
  await withProxy(async (proxy, settings) => {
    const told = ['SFATAL', 'VFATAL', 'C40001', 'Mterminating connection due to conflict with recovery', ''].join('\0') + '\0';
    await t.rejects(soon(withSnapshot(settings, async ({ client, lost }) => {
      client.query('SELECT pg_sleep(60)').catch(() => proxy.close());
      setTimeout(() => proxy.inject(message('E', 4 + told.length, told)), 100);
      await new Promise((resolve) => { lost.addEventListener('abort', resolve); });
    })), { name: 'RealmliftError', code: 'RECOVERY_CONFLICT', stage: 'snapshot' });
  });
});

t.test('garbage in the midst of a COPY ends it', async (t) => {
  for (const [name, bytes] of Object.entries({ ...GARBAGE, 'a row of COPY of 2 GB': message('d', 0x7fffffff, 'x') })) {
    for (const kind of [forCopying, (settings: ConnectionSettings) => settings]) {
      await withProxy(async (proxy, settings) => {
        const client = await connect(kind(settings), 'worker');
        const copying = copyRows(client, 'SELECT pg_sleep(60)', () => undefined, 'message');
        setTimeout(() => proxy.inject(bytes), 100);
        await t.rejects(soon(copying), { ...BROKEN, stage: 'copy' }, name);
      });
    }
  }
});

t.test('a connection that carries nothing any more ends the run', async (t) => {
  /** By what the error says of the server. */
  const faults: Readonly<Record<string, (proxy: FaultyConnection) => void | Promise<void>>> = {
    'the server in turn waits for us': (proxy) => proxy.hang(),
    'it takes no new connection either': (proxy) => {
      proxy.deaf = true;
      proxy.hang();
    },
    'takes no new connection either': (proxy) => {
      proxy.refuse();
      proxy.hang();
    },
    'the server has no such session any more': async (proxy) => {
      proxy.hang();
      const other = await connect(connectionSettings(database, {}), 'test');
      await other.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'realmlift %' AND pid <> pg_backend_pid()");
      await other.end();
    },
  };
  for (const [name, fault] of Object.entries(faults)) {
    await withProxy(async (proxy, settings) => {
      await t.rejects(soon(withSnapshot(settings, async (snapshot) => {
        snapshot.idle.push(await joinSnapshot(snapshot, 'worker'));
        // The query ends meanwhile, and its answer does not come.
        const answer = snapshot.client.query('SELECT pg_sleep(0.3)');
        await sleep(100);
        await fault(proxy);
        await answer;
      })), { ...STALLED, stage: 'plan', message: new RegExp(name) }, name);
    });
  }
  await withProxy(async (proxy, settings) => {
    await t.rejects(soon(withSnapshot(settings, ({ client }) => {
      proxy.hang();
      return client.query('SELECT $1::text', ['x'.repeat(100_000)]);
    })), STALLED, 'before the query has reached the server');
  });
});

t.test('a stall is found while a session is opened, while it copies, and when it is closed', async (t) => {
  await withProxy(async (proxy, settings) => {
    proxy.onSent = (bytes) => { if (bytes.includes('pg_is_in_recovery')) proxy.hang(); };
    await t.rejects(soon(connect(settings, 'snapshot')), STALLED);
  });
  await withProxy(async (proxy, settings) => {
    const client = await connect(forCopying(settings), 'worker');
    const copying = copyRows(client, "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)", () => undefined, 'message');
    setTimeout(() => proxy.hang(), 100);
    await t.rejects(soon(copying), { ...STALLED, stage: 'copy' });
  });
  await withProxy(async (proxy, settings) => {
    const client = await connect(settings, 'snapshot');
    proxy.hang();
    await soon(client.end());
  });
});

t.test('a stall is found while rows are sent, and when all are', async (t) => {
  const rows = async function* (most: number, meanwhile: (n: number) => void): AsyncIterable<Buffer> {
    for (let n = 0; n < most; n++) {
      meanwhile(n);
      yield Buffer.from(`${'x'.repeat(1000)}\n`.repeat(100));
      await sleep(1);
    }
  };
  const stop = new AbortController().signal;
  for (const [name, most, fault] of [['more are on their way', Infinity, 'block'], ['all are sent', 3, 'hang'], ['all are sent, and lie on the way', 3, 'block']] as const) {
    await withProxy(async (proxy, settings) => {
      const client = await connect(settings, 'load');
      await client.query('CREATE TEMP TABLE sent (body text)');
      await t.rejects(soon(copyIn(client, 'sent', rows(most, (n) => { if (n === 2) proxy[fault](); }), stop)), { ...STALLED, stage: 'load' }, name);
    });
  }
  await withProxy(async (proxy, settings) => {
    const [source, client] = [await connect(connectionSettings(database, {}), 'split'), await connect(settings, 'split')];
    await client.query('CREATE TEMP TABLE sent (body text)');
    setTimeout(() => proxy.block(), 100);
    await t.rejects(soon(copyThrough({ client: source, selects: ["SELECT repeat('x', 1000) FROM (SELECT generate_series(1, 100000000)) AS n"], table: 'sent', encoding: undefined }, client, 'sent', stop)), { ...STALLED, stage: 'split' }, 'from COPY to COPY');
    await client.end();
  });
});

t.test('what takes long is no stall', async (t) => {
  await withProxy(async (_, settings) => {
    const long = 8 * SILENCE;
    const sessions: pg.Client[] = [];
    const session = async (kind = settings): Promise<pg.Client> => {
      const client = await connect(kind, 'worker');
      sessions.push(client);
      return client;
    };
    const [sleeper, busy, locker, waiter, loader] = await Promise.all(Array.from({ length: 5 }, () => session())) as [pg.Client, pg.Client, pg.Client, pg.Client, pg.Client];
    await locker.query('CREATE TABLE public.message (id int)');
    await locker.query('BEGIN; LOCK TABLE public.message');
    await loader.query('CREATE TABLE public.loaded (id int)');
    const slowly = async (client: pg.Client): Promise<number> => {
      let waited = false;
      const { rows } = await copyRows(client, "SELECT repeat('x', 1000) FROM generate_series(1, 50000)", () => {
        if (waited) return undefined;
        waited = true;
        return sleep(long);
      }, 'message');
      return rows;
    };
    async function* source(): AsyncIterable<Buffer> {
      yield Buffer.from('1\n');
      await sleep(long);
      yield Buffer.from('2\n');
    }
    // All are there before anything keeps this process busy.
    const [slow, slowReader, copier] = await Promise.all([session(), session(), session(forCopying(settings))]);
    // Each thousandth row takes its time, while more of them are on their way than the buffers hold.
    await slow.query(`CREATE TEMP TABLE slow (body text); CREATE SEQUENCE pg_temp.nth;
      CREATE FUNCTION pg_temp.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('pg_temp.nth') % 20000 = 1000 THEN PERFORM pg_sleep(${long / 2000}); RAISE NOTICE 'waited'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER wait BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION pg_temp.wait()`);
    const results = await Promise.all([
      copyIn(slow, 'slow', Array.from({ length: 400 }, () => Buffer.from(`${'x'.repeat(1000)}\n`.repeat(100))), new AbortController().signal),
      sleeper.query(`SELECT pg_sleep(${long / 1000})`).then(({ rowCount }) => rowCount),
      busy.query(`DO $$ DECLARE until timestamptz := clock_timestamp() + interval '${long} ms'; BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $$`).then(({ command }) => command),
      waiter.query('SELECT count(*)::int AS count FROM public.message').then(({ rows }) => rows as unknown),
      sleep(long).then(() => locker.query('COMMIT')).then(({ command }) => command),
      slowly(slowReader),
      slowly(copier),
      copyIn(loader, 'public.loaded', source(), new AbortController().signal),
    ]);
    t.strictSame(results, [40_000, 1, 'DO', [{ count: 0 }], 'COMMIT', 50_000, 50_000, 2]);
    await Promise.all(sessions.map((client) => client.end()));
  });
});

t.test('a COPY into a session that was lost while nothing was asked of it', async (t) => {
  const [client, source, killer] = await Promise.all(Array.from({ length: 3 }, () => connect(connectionSettings(database, {}), 'writer'))) as [pg.Client, pg.Client, pg.Client];
  await client.query('CREATE TABLE public.never (id int)');
  const { rows: [row] } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const gone = new Promise<void>((resolve) => { client.once('end', resolve); });
  await killer.query('SELECT pg_terminate_backend($1)', [row?.pid]);
  await gone;
  const { signal } = new AbortController();
  await t.rejects(soon(copyIn(client, 'public.never', [Buffer.from('1\n')], signal)), { code: '57P01' }, 'fails by what ended the session');
  await t.rejects(soon(copyThrough({ client: source, selects: ['SELECT 1'], table: 'never', encoding: undefined }, client, 'public.never', signal)), { code: '57P01' });
  await Promise.all([source.end(), killer.query('DROP TABLE IF EXISTS public.never').then(() => killer.end())]);
});

t.test('a server that refuses another session does not end the one that works', async (t) => {
  await withProxy(async (_, settings) => {
    const owner = await connect(connectionSettings(database, {}), 'test');
    const [user, password] = [`lonely_${process.pid}`, 'sesame'];
    await owner.query(`CREATE ROLE ${user} LOGIN CONNECTION LIMIT 1 PASSWORD '${password}'`);
    try {
      const client = await connect({ ...settings, config: { ...settings.config, user, password } }, 'worker');
      const { rowCount } = await client.query(`SELECT pg_sleep(${4 * SILENCE / 1000})`);
      t.equal(rowCount, 1);
      await client.end();
    } finally {
      await owner.query(`DROP ROLE ${user}`).finally(() => owner.end());
    }
  });
});
