// Directories that came from elsewhere: whatever lies in them ends in a finding, soon.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openFinishedExport } from '../../src/pipe/finished-export.js';
import { TableFile } from '../../src/pipe/table-file.js';
import { verifyExport } from '../../src/verify/verify-export.js';
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
