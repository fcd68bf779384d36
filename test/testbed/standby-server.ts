/** A hot standby of a test server: a copy of its data that follows it by streaming replication. */
import { execFile } from 'node:child_process';
import { chown, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { startPostgres, type PostgresServer } from '../../src/demo/postgres-server.js';

/** What a server needs to have a standby. */
export const PRIMARY = { wal_level: 'replica', max_wal_senders: '4' } as const;

/**
 * Starts a standby of `primary`, which was started with the settings PRIMARY.
 * @param settings of the standby, such as max_standby_streaming_delay
 */
export async function startStandby(primary: PostgresServer, settings: Readonly<Record<string, string>>): Promise<PostgresServer> {
  const url = primary.url('postgres');
  const { password, username, hostname, port } = new URL(url);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await startPostgres({
      ...PRIMARY, ...settings, primary_conninfo: `host=${hostname} port=${port} user=${username} password=${password} application_name=standby`,
    }, {
      password,
      fill: async (data, { uid, gid }) => {
        // https://www.postgresql.org/docs/15/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
        await client.query("SELECT pg_backup_start('standby', true)");
        await promisify(execFile)('cp', ['-a', join(primary.socketDirectory, 'data'), data]);
        const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
        await rm(join(data, 'postmaster.pid'), { force: true });
        for (const [name, text] of [['backup_label', rows[0]?.labelfile ?? ''], ['standby.signal', '']] as const) {
          await writeFile(join(data, name), text);
          if (uid !== undefined && gid !== undefined) await chown(join(data, name), uid, gid);
        }
      },
    });
  } finally {
    await client.end();
  }
}
