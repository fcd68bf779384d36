import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readIdMap, refuseUnfit } from '../../src/remap/id-map.js';

const BOTS = { 'emailgateway@zulip.com': { user: 11, recipient: 21 }, 'notification-bot@zulip.com': { user: 12, recipient: 22 }, 'welcome-bot@zulip.com': { user: 13, recipient: 23 } };
const CLIENTS = { website: 1, ZulipMobile: 2 };

function read(content: unknown): unknown {
  const file = join(t.testdirName, 'ids.json');
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  try {
    return readIdMap(file);
  } catch (error) {
    return error;
  }
}

t.testdir({});

t.test('a map of ids', (t) => {
  t.same(read({ bots: BOTS, clients: CLIENTS }), { bots: new Map(Object.entries(BOTS)), clients: new Map(Object.entries(CLIENTS)) });
  t.end();
});

t.test('what is no map of ids', (t) => {
  const welcome = BOTS['welcome-bot@zulip.com'];
  const cases: readonly (readonly [content: unknown, message: RegExp, code?: string])[] = [
    ['{"bots": {', /it is not JSON/],
    [[], /it is no object/],
    [{ bots: BOTS }, /it has no object "clients"/],
    [{ clients: CLIENTS }, /it has no object "bots"/],
    [{ bots: BOTS, clients: CLIENTS, users: {} }, /an unknown key "users"/],
    [{ bots: { ...BOTS, 'nobody@zulip.com': welcome }, clients: CLIENTS }, /"nobody@zulip.com" is no system bot/],
    [{ bots: { ...BOTS, 'welcome-bot@zulip.com': { user: 13 } }, clients: CLIENTS }, /bots\.welcome-bot@zulip\.com\.recipient is no id/],
    [{ bots: { ...BOTS, 'welcome-bot@zulip.com': { ...welcome, realm: 1 } }, clients: CLIENTS }, /more than a user and a recipient/],
    [{ bots: { ...BOTS, 'welcome-bot@zulip.com': 13 }, clients: CLIENTS }, /bots\.welcome-bot@zulip\.com\.user is no id/],
    [{ bots: { ...BOTS, 'welcome-bot@zulip.com': { user: 11, recipient: 23 } }, clients: CLIENTS }, /have the same user id 11/],
    [{ bots: { ...BOTS, 'welcome-bot@zulip.com': { user: 13, recipient: 21 } }, clients: CLIENTS }, /have the same recipient id 21/],
    [{ bots: BOTS, clients: { a: 4, b: 4 } }, /"a" and "b" have the same client id 4/],
    [{ bots: BOTS, clients: { a: '4' } }, /clients\["a"\] is no id/],
    [{ bots: BOTS, clients: { a: 0 } }, /is no id/],
    [{ bots: BOTS, clients: { a: 1.5 } }, /is no id/],
    [`{"bots": ${JSON.stringify(BOTS)}, "clients": {"a": 1, "b": 2, "\\u0061": 3}}`, /it names "a" twice/],
    [{ bots: BOTS, clients: { a: 2 ** 31 } }, /is 2147483648, and the column ends at 2147483647/, 'ID_RANGE'],
  ];
  for (const [content, message, code = 'ID_MAP'] of cases) t.match(read(content), { code, message, exit: 2 });
  t.throws(() => readIdMap(join(t.testdirName, 'none')), { code: 'ID_MAP', message: /cannot be read: there is no such file or directory \(ENOENT\)/ });
  t.end();
});

t.test('a map that is meant for another export', (t) => {
  const map = { bots: new Map(Object.entries(BOTS)), clients: new Map(Object.entries(CLIENTS)) };
  const exported = (clients: string[], bots = Object.entries(BOTS)): typeof map => ({ bots: new Map(bots), clients: new Map(clients.map((name, index) => [name, index])) });
  refuseUnfit(map, exported(['website', 'ZulipMobile']));
  refuseUnfit(map, exported(['website', 'ZulipMobile'], []));
  t.throws(() => refuseUnfit(map, exported(['website', 'ZulipMobile', 'curl'])), { code: 'ID_MAP', message: /no id for clients of the export: "curl"/, exit: 2 });
  t.throws(() => refuseUnfit(map, exported(['website'])), { code: 'ID_MAP', message: /names clients that the export does not have: "ZulipMobile"/ });
  t.throws(() => refuseUnfit({ ...map, bots: new Map() }, exported(['website', 'ZulipMobile'])), { code: 'ID_MAP', message: /no ids for system bots.*"welcome-bot@zulip.com"/ });
  t.end();
});
