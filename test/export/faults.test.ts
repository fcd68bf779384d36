import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startPostgres } from '../../src/demo/postgres-server.js';
import { createDatabaseFromDump, withTestDatabase } from '../testbed/test-database.js';
import { testData } from '../testbed/test-data.js';
import { sessionsLeft, withBlockedExport } from './blocked-export.js';
import { runExport, runLimited, type Ended } from './export-process.js';
import { query } from './grown-database.js';
import { exported } from './killed-export.js';
import { differingPaths } from './same-tree.js';

/** The run ended by name in one line, without a trace of code, and left nothing at the final path. */
function endedWell(t: Test, { code, stderr }: Ended, output: string, expected: RegExp, exit = 1): void {
  t.equal(code, exit, stderr);
  t.match(stderr, expected);
  t.equal(stderr.trimEnd().split('\n').length, 1, `one line: ${stderr}`);
  t.notMatch(stderr, /\bat .*\.js:|node:internal|Unhandled|Warning/, 'no stack trace');
  t.notOk(existsSync(join(output, 'acme')), 'nothing at the final path');
}

t.test('a run that is hit in its midst ends by name and can be resumed', async (t) => {
  const root = t.testdir({});
  await withTestDatabase('zulip-11/local', async (url) => {
    const fresh = await exported(t, url, join(root, 'fresh'));
    const goesOn = async (t: Test, output: string): Promise<void> => {
      t.same(differingPaths(fresh, await exported(t, url, output, '--resume')), [], 'and is resumed to the same bytes');
    };
    const terminate = (role: string): Promise<unknown> =>
      query(url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'realmlift ${role}' AND (wait_event_type = 'Lock' OR application_name <> 'realmlift worker')`);

    await t.test('by the loss of a worker\'s session', async (t) => {
      const output = join(root, 'worker');
      const ended = await withBlockedExport(url, output, [], async () => void (await terminate('worker')));
      endedWell(t, ended, output, /^realmlift: CONNECTION_LOST \[copy, (?:zerver_\w+|foreign_attachment|unsafe_group_message)\]: /);
      await goesOn(t, output);
    });

    await t.test('by the loss of the session that holds the snapshot', async (t) => {
      const output = join(root, 'holder');
      const ended = await withBlockedExport(url, output, [], async ({ ended: end }) => {
        await terminate('snapshot');
        await end;
        t.equal(await sessionsLeft(url, 5), 0, 'no session is left, although one was waiting');
      });
      endedWell(t, ended, output, /^realmlift: SNAPSHOT_LOST \[snapshot\]: /);
      await goesOn(t, output);
    });

    for (const [signal, exit] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
      await t.test(`by ${signal}`, async (t) => {
        const output = join(root, signal);
        const ended = await withBlockedExport(url, output, [], async ({ process: child, ended: end }) => {
          const start = performance.now();
          child.kill(signal);
          await end;
          t.ok(performance.now() - start < 5000, 'at once');
          t.equal(await sessionsLeft(url, 5), 0, 'no session is left');
        });
        endedWell(t, ended, output, new RegExp(`^realmlift: STOPPED \\[copy\\]: stopped by ${signal}; .*--resume`), exit);
        await goesOn(t, output);
      });
    }

    await t.test('by SIGKILL', async (t) => {
      const output = join(root, 'SIGKILL');
      await withBlockedExport(url, output, [], async ({ process: child, ended: end }) => {
        child.kill('SIGKILL');
        await end;
        t.equal(await sessionsLeft(url, 15), 0, 'the server notices that it is gone while its query waits');
      });
      await goesOn(t, output);
    });

    await t.test('by the age of its snapshot', async (t) => {
      const output = join(root, 'age');
      const ended = await withBlockedExport(url, output, ['--max-snapshot-age', '4s'], async ({ ended: end }) => void (await end));
      endedWell(t, ended, output, /^realmlift: SNAPSHOT_TOO_OLD \[snapshot\]: the snapshot has reached the age of 4 s .*--resume/);
      await goesOn(t, output);
    });

    await t.test('by a row that JSON cannot hold', async (t) => {
      const output = join(root, 'row');
      const where = "WHERE id = (SELECT max(m.id) FROM zerver_message m JOIN zerver_recipient r ON r.id = m.recipient_id JOIN zerver_stream s ON s.id = r.type_id WHERE r.type = 2 AND s.name = (SELECT min(name) FROM zerver_stream WHERE realm_id = m.realm_id) AND m.realm_id = (SELECT id FROM zerver_realm WHERE string_id = 'acme'))";
      const { rows } = await query(url, `SELECT date_sent::text AS date FROM zerver_message ${where}`);
      await query(url, `UPDATE zerver_message SET date_sent = 'infinity' ${where}`);
      endedWell(t, await runExport(url, output), output, /^realmlift: TIMESTAMP_NOT_JSON \[transform, zerver_message\]: column "date_sent", row \d+ of the query: .* \(segment messages-000001\.json\)/);
      await query(url, `UPDATE zerver_message SET date_sent = '${String(rows[0]?.date)}' ${where}`);
      await goesOn(t, output);
    });

    await t.test('by a disk that takes no more', async (t) => {
      const output = join(root, 'disk');
      // ulimit -f counts blocks of 512 bytes; the messages file has more than 500 KB.
      endedWell(t, await runLimited('ulimit -f 600', url, output), output, /^realmlift: DISK_FULL \[package\]: .*messages-000001\.json is larger than this process or file system allows/);
      t.ok(readdirSync(join(output, 'acme.partial')).length > 0);
      await goesOn(t, output);
    });

    await t.test('by a limited address space, which WebAssembly sets much of aside', async (t) => {
      const output = join(root, 'address-space');
      const limit = 'ulimit -v 4000000';
      endedWell(t, await runLimited(limit, url, output), output, /^realmlift: ADDRESS_SPACE \[transform\]: .*NODE_OPTIONS=--disable-wasm-trap-handler/);
      t.match(await runLimited(`${limit}; export NODE_OPTIONS=--disable-wasm-trap-handler`, url, output, '--resume'), { code: 0, stderr: '' });
    });

    await t.test('by another run in the same directory, which is refused', async (t) => {
      const output = join(root, 'lock');
      const ended = await withBlockedExport(url, output, [], async ({ process: child, ...blocked }) => {
        for (const words of [[], ['--resume']]) {
          const second = await runExport(url, output, ...words);
          t.match(second, { code: 1, stderr: /^realmlift: OUTPUT_BUSY \[package\]: another run \(process \d+ on [^\n]*\n$/ });
          t.ok(second.stderr.includes(`process ${child.pid} `));
        }
        await blocked.unblock();
      });
      t.equal(ended.code, 0, ended.stderr);
      t.same(differingPaths(fresh, join(output, 'acme')), [], 'and does not disturb the first');
    });
  });
});

t.test('a directory that cannot be written is said to be so', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    const file = join(t.testdir({ file: '' }), 'file');
    t.match(await runExport(url, join(file, 'out')), { code: 1, stderr: /^realmlift: DISK_FAILED \[package\]: [^\n]*ENOTDIR[^\n]*\n$/ });
    // Even root makes no directory in sysfs.
    t.match(await runExport(url, '/sys/realmlift'), { code: 1, stderr: /^realmlift: OUTPUT_UNWRITABLE \[package\]: [^\n]*\n$/ });
  });
});

t.test('a server that is shut down ends the run by name', async (t) => {
  const server = await startPostgres();
  const output = join(t.testdir({}), 'out');
  try {
    const url = await createDatabaseFromDump(server.url('postgres'), testData('zulip-11/local', 'database.sql.gz'), 'doomed');
    const ended = await withBlockedExport(url, output, [], async ({ ended: end }) => {
      await server.stop();
      await end;
    });
    endedWell(t, ended, output, /^realmlift: (SNAPSHOT_LOST|CONNECTION_LOST) \[/);
    t.match(await runExport(url, output, '--resume'), { code: 1, stderr: /^realmlift: SERVER_UNREACHABLE / });
    t.ok(existsSync(join(output, 'acme.partial', '.realmlift', 'journal')), 'the run can be resumed');
  } finally {
    await server.stop();
  }
});
