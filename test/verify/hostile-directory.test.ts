// Directories that came from elsewhere: whatever lies in them ends in a finding, soon.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openFinishedExport } from '../../src/pipe/finished-export.js';
import { TableFile } from '../../src/pipe/table-file.js';
import { targetOf } from '../../src/verify/references.js';
import { verifyExport } from '../../src/verify/verify-export.js';
import { exportRealm, withSource } from '../export/test-source.js';
import { expectedExport } from '../testbed/expected-export.js';

const good = await expectedExport('zulip-11/local', 'tiny-full').catch(() => expectedExport('zulip-11/local', 'globex-full'));

function copy(directory: string): string {
  cpSync(good, directory, { recursive: true });
  return directory;
}

t.test('FIFOs, links, devices and huge files are findings', async (t) => {
  for (const file of ['realm.json', 'stats.json', 'manifest.json', 'messages-000001.json', 'uploads/records.json', 'uploads/more']) {
    for (const kind of ['fifo', '/dev/zero', '/etc/passwd', 'nowhere']) {
      const directory = copy(join(t.testdir(), 'export'));
      const path = join(directory, file);
      rmSync(path, { force: true });
      if (kind === 'fifo') execFileSync('mkfifo', [path]);
      else symlinkSync(kind, path);
      const { findings } = await verifyExport(directory, { jobs: 1 });
      t.match(findings.filter(({ severity }) => severity === 'error'), [{ file, message: /no ordinary file/ }], `${file}: ${kind}`);
      if (file === 'manifest.json') await t.rejects(openFinishedExport(directory), { code: 'NOT_AN_EXPORT' });
    }
  }
  const directory = copy(join(t.testdir(), 'export'));
  truncateSync(join(directory, 'stats.json'), 10 * 1024 ** 3);
  t.match((await verifyExport(directory, { jobs: 1 })).findings, [{ severity: 'note' }, { file: 'stats.json', message: /too large/ }]);
});

t.test('ten gigabytes of nothing behind what is read are a finding at once', async (t) => {
  const source = join(t.testdir({}), 'ours');
  await withSource('zulip-11/local', async (server) => { cpSync(await exportRealm(server, join(t.testdirName, 'out'), 'tiny'), source, { recursive: true }); });
  for (const [file, expected] of [
    ['realm.json', /not valid JSON/], ['messages-000001.json', /10737418240 bytes/], ['uploads/records.json', /10737418240 bytes/], ['report.json', /10737418240 bytes/],
    ['manifest.json', /manifest.json cannot be read: a line is too long/],
  ] as const) {
    const directory = join(t.testdirName, 'long');
    rmSync(directory, { recursive: true, force: true });
    cpSync(source, directory, { recursive: true });
    truncateSync(join(directory, file), 10 * 1024 ** 3);
    const started = performance.now();
    const { findings } = await verifyExport(directory, { jobs: 1 });
    t.ok(findings.some(({ severity, file: of, message }) => severity === 'error' && of === file && expected.test(message)), `${file}: ${findings.map(({ message }) => message).join('; ')}`);
    await t.rejects(openFinishedExport(directory), { code: /^(EXPORT_CHANGED|MANIFEST_DAMAGED)$/ });
    // The ten gigabytes take half a minute to hash.
    t.ok(performance.now() - started < 10_000, `${file} in ${Math.round(performance.now() - started)} ms`);
  }
});

t.test('tables that are called like what every object has', async (t) => {
  for (const name of ['constructor', '__proto__', 'toString']) {
    const directory = copy(join(t.testdir(), 'export'));
    const path = join(directory, 'realm.json');
    const text = `{"${name}":[{"id":1}],${readFileSync(path, 'utf8').trimStart().slice(1)}`;
    writeFileSync(path, text);
    t.match((await verifyExport(directory, { jobs: 1 })).findings.find(({ severity, file }) => severity === 'error' && file === 'realm.json'), { message: new RegExp(`a table cannot be called ${name}`) }, name);
    t.throws(() => TableFile.open(path, { path: 'realm.json', size: Buffer.byteLength(text), sha256: execFileSync('sha256sum', [path]).toString().slice(0, 64) }), { code: 'JSON_DAMAGED' }, name);
  }
});

t.test('keys of rows that are called like what every object has are keys like others', async (t) => {
  const directory = copy(join(t.testdir(), 'export'));
  const before = (await verifyExport(directory, { jobs: 1 })).findings;
  for (const file of ['realm.json', 'attachment.json', 'messages-000001.json']) {
    const path = join(directory, file);
    const odd = '"__proto__":{"id":1},"constructor":{"prototype":1},"toString":"x","hasOwnProperty":5';
    writeFileSync(path, readFileSync(path, 'utf8').replace(/\{\s*"id":/g, (start) => `{${odd},${start.slice(1)}`));
    t.equal(targetOf('zerver_attachment', 'constructor'), undefined);
  }
  t.strictSame((await verifyExport(directory, { jobs: 1 })).findings, before);
});
