import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import t from 'tap';
import { startPostgres, withPostgres } from '../../src/demo/postgres-server.js';

async function setting(config: pg.ClientConfig, name: string): Promise<string | undefined> {
  const client = new pg.Client(config);
  await client.connect();
  try {
    return (await client.query<{ v: string }>('SELECT current_setting($1) AS v', [name])).rows[0]?.v;
  } finally {
    await client.end();
  }
}

async function until(condition: () => boolean): Promise<boolean> {
  for (let waited = 0; waited < 10_000; waited += 50) {
    if (condition()) return true;
    await sleep(50);
  }
  return false;
}

t.test('a server answers over TCP and its socket, and is gone afterwards', async (t) => {
  const [port, directory] = await withPostgres(async (server) => {
    const { password } = new URL(server.url('postgres'));
    t.match(await setting({ connectionString: server.url('postgres') }, 'server_version'), /^15\./);
    t.equal(await setting({ host: server.socketDirectory, port: server.port, user: 'postgres', password, database: 'postgres' }, 'port'), String(server.port));
    await t.rejects(setting({ connectionString: server.url('postgres').replace(password, 'wrong') }, 'port'), { code: '28P01' });
    return [server.port, server.socketDirectory] as const;
  });
  t.notOk(existsSync(directory), 'its files are removed');
  await t.rejects(setting({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' }, 'port'), { code: 'ECONNREFUSED' });
});

t.test('a server that cannot start says why and leaves nothing', async (t) => {
  await t.rejects(startPostgres({ shared_buffers: 'plenty' }), { message: /invalid value for parameter "shared_buffers"/ });
});

t.test('killing its owner stops the server and removes its files', async (t) => {
  const module = JSON.stringify(new URL('../../src/demo/postgres-server.js', import.meta.url).href);
  const owner = spawn(process.execPath, ['--input-type=module', '-e', `
    import { startPostgres } from ${module};
    const server = await startPostgres();
    console.log(server.socketDirectory);
    process.kill(process.pid, 'SIGKILL');
  `], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = await Promise.all([text(owner.stdout), once(owner, 'exit')]);
  const directory = output.trim();
  t.match(directory, /realmlift-pg-/);
  t.ok(await until(() => !existsSync(join(directory, 'data', 'postmaster.pid'))), 'the server is gone');
  t.ok(await until(() => !existsSync(directory)), 'its files are gone');
});
