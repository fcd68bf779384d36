// When the versions of rows are believed, and which of them are new.
import t from 'tap';
import type { Origin, OriginServer } from '../../src/export/base/origin.js';
import { isNew } from '../../src/export/base/new-versions.js';
import { distrust, firstNew, wroteNothing } from '../../src/export/base/trust-base.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { query } from './grown-database.js';

const SERVER: OriginServer = { xmin: '1000', xmax: '1010', running: ['1000', '1005'], recovering: false, system: '7', timeline: 1, counting: 'since', started: 'then', address: 'here' };
const LATER: OriginServer = { ...SERVER, xmin: '2000', xmax: '2000', running: [] };
const TABLE: Origin['tables'][number] = { oid: 5, name: 'zulip.zerver_message', relkind: 'r', file: 77, children: [], columns: {} };

function origin(server: OriginServer, more: Partial<Origin> = {}): Origin {
  return { format: 1, run: {}, snapshot: { id: '', takenAt: '' }, server, query: 'q', tables: [], receivers: [], ...more };
}

t.test('who is believed', (t) => {
  const told = (then: Partial<OriginServer>, now: Partial<OriginServer>): string | undefined => distrust(origin({ ...SERVER, ...then }), origin({ ...LATER, ...now }));
  t.equal(told({}, {}), undefined, 'the same server, later');
  t.equal(told({}, SERVER), undefined, 'and at the same moment, for what was under way then is so still');
  t.match(told({}, { system: null, timeline: null }), /may not ask which cluster/);
  t.match(told({ system: null, timeline: null }, {}), /may not ask which cluster/);
  t.match(told({}, { system: '8' }), /another cluster/);
  t.match(told({}, { timeline: 2 }), /timeline 1 then, 2 now/);
  t.match(told({}, { timeline: null }), /timeline 1 then, unknown now/);
  t.match(told({}, { started: 'now', address: 'there' }), /may be a copy/);
  t.equal(told({}, { started: 'now' }), undefined, 'a restart alone is none');
  t.equal(told({}, { started: 'now', address: 'there', recovering: true }), undefined, 'nor is a standby');
  t.match(told({}, { counting: 'since a crash' }), /crashed since/, 'transactions that it lost may have had the ids of others');
  t.equal(told({}, { counting: 'by itself', recovering: true }), undefined, 'a standby counts for itself, and sees nothing that a crash can lose');
  t.match(told({}, { xmin: '1003', xmax: '1009' }), /does not see all/, 'a standby may lag');
  t.match(told({}, { xmin: '1003', xmax: '1012', running: ['1003'] }), /does not see all/, 'what had ended then is under way now: a server that was set back');
  t.equal(told({}, { xmin: '1005', xmax: '1012', running: ['1005', '1011'] }), undefined, 'what was under way then is so still');
  t.match(told({}, { xmin: '1005', xmax: '1012', running: ['1005'], recovering: true }), /does not see all/, 'of which a standby does not tell');
  const far = 2n ** 31n;
  t.equal(told({}, { xmin: String(far - 20_000_000n), xmax: String(far - 20_000_000n) }), undefined, 'nearly half of the transaction ids');
  t.match(told({}, { xmin: String(far), xmax: String(far) }), /older than half of the transaction ids/);
  t.match(told({}, { xmin: String(far * 5n), xmax: String(far * 5n) }), /older than half/, 'and rounds of them');
  t.match(distrust(origin(SERVER), origin(LATER, { query: 'other' })), /other people agree/);
  t.match(distrust(origin(SERVER, { tables: [TABLE] }), origin(LATER)), /zerver_message .* since/);
  t.match(distrust(origin(SERVER), origin(LATER, { tables: [TABLE] })), /partitions/);
  t.match(distrust(origin(SERVER), origin(LATER, { tables: [{ ...TABLE, relkind: 'v' }] })), /views/);
  t.end();
});

t.test('whether anything was written', (t) => {
  const nothing = (then: Partial<OriginServer>, now: Partial<OriginServer> = then): boolean => wroteNothing({ ...SERVER, ...then }, { ...SERVER, ...now });
  t.ok(nothing({}), 'the same transactions have ended, and the same are under way');
  t.notOk(nothing({}, { xmax: '1011' }));
  t.notOk(nothing({}, { running: ['1000'] }));
  t.notOk(nothing({}, { xmin: '1005', running: ['1005'] }));
  t.notOk(nothing({ recovering: true }), 'a standby does not tell what is under way');
  t.notOk(nothing({ system: null, timeline: null, counting: null }), 'nor who may not ask');
  t.notOk(nothing({}, { counting: 'since a crash' }), 'which may have lost transactions whose ids others have now');
  t.notOk(nothing({}, { started: 'now' }), 'or a copy with a history of its own');
  t.notOk(nothing({}, { system: '8' }));
  t.notOk(nothing({}, { timeline: 2 }));
  t.end();
});

t.test('which versions are new', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    const { rows: [now] } = await query(url, 'SELECT txid_current()::text AS id');
    const next = BigInt(now?.id as string) + 1n;
    const low = (id: bigint): string => String(BigInt.asUintN(32, id));
    // The transaction of the base, so many before the next one: also where the numbers, of 32 bits, have begun anew since, as every server's do.
    for (const ago of [3n, next - 3n, next + 10n, 100_000_000n, 2n ** 31n - 10_000_001n]) {
      const first = firstNew({ ...SERVER, xmin: String(next - ago + 2n ** 32n) });
      const version = (id: bigint): string => `('${low(id)}'::xid)`;
      const old = [next - ago - 1n, next - ago - 1000n].filter((id) => Number(low(id)) > 2);
      const young = [next - ago, next - ago + 1n, next - 1n].filter((id) => Number(low(id)) > 2);
      const asked = `SELECT count(*)::int AS rows, (count(*) FILTER (WHERE ${isNew('t.row_version', first)}))::int AS fresh FROM`;
      t.match((await query(url, `${asked} (VALUES ${old.map(version).join()}) AS t(row_version)`)).rows[0], { rows: old.length, fresh: 0 }, `${ago} ago: what was before is old`);
      t.match((await query(url, `${asked} (VALUES ${young.map(version).join()}) AS t(row_version)`)).rows[0], { rows: young.length, fresh: young.length }, 'what came since is new');
      t.match((await query(url, `${asked} (VALUES ('1'::xid), ('2'::xid)) AS t(row_version)`)).rows[0], { fresh: 0 }, 'rows of initdb, and those that an old server has frozen, are old');
    }
  });
});
