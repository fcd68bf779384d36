import t from 'tap';
import { ABANDON, LET_GO, segmentWorker, type WorkerMessage } from '../../src/export/segments/segment-worker.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { withSnapshot } from '../../src/snapshot/snapshot.js';
import { withTestDatabase } from '../testbed/test-database.js';

t.test('a segment that is abandoned when it is just finished, of a realm that failed, takes no other with it', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    await withSnapshot(connectionSettings(url, {}), async ({ settings, id, held }) => {
      let tell: (message: WorkerMessage) => void = () => undefined;
      const next = (kinds: readonly WorkerMessage['kind'][]): Promise<WorkerMessage> => new Promise((resolve) => {
        tell = (message) => { if (kinds.includes(message.kind)) resolve(message); };
      });
      let over: () => void = () => undefined;
      const ended = new Promise<void>((resolve) => { over = resolve; });
      const worker = segmentWorker((message) => tell(message), over);
      const opened = next(['opened']);
      worker({ join: { settings, id, held } });
      t.match(await opened, { error: undefined });
      const assignment = { segment: { kind: 'ids', table: 'zerver_realm', select: 'SELECT id::float8 AS id FROM zerver_realm', most: 100 }, directory: t.testdir({}), schema: 'zulip' } as const;
      for (let segment = 1; segment <= 2; segment++) {
        const finished = next(['done', 'failed']);
        worker(assignment);
        t.match(await finished, { kind: 'done' }, `segment ${segment}`);
        worker(ABANDON);
      }
      worker(LET_GO);
      await ended;
    });
  });
});
