import t from 'tap';
import { parseStatsJson, parseStatsText } from '../../src/verify/statistics.js';

const plain = (statistics: ReturnType<typeof parseStatsText>): unknown => Object.fromEntries([...statistics].map(([section, counts]) => [section, Object.fromEntries(counts)]));

t.test('stats.txt, with the paths that Zulip writes and with ours', (t) => {
  for (const prefix of ['/tmp/export-1/acme/', '']) {
    const text = `messages-000001.json\n  337 zerver_message\n 2369 zerver_usermessage\n\nrealm.json\n    0 zerver_onboardingstep\n12345678 zerver_reaction\n\n${prefix}avatars/records.json\n   24 records\n\n`;
    t.same(plain(parseStatsText(text)), {
      'messages-000001': { zerver_message: 337, zerver_usermessage: 2369 }, realm: { zerver_onboardingstep: 0, zerver_reaction: 12345678 }, avatars_records: { '': 24 },
    });
  }
  t.end();
});

t.test('stats.json', (t) => {
  t.same(plain(parseStatsJson('{"realm":{"zerver_realm":1},"uploads_records":3}')), { realm: { zerver_realm: 1 }, uploads_records: { '': 3 } });
  for (const text of ['[', '5', '{"realm":"x"}', '{"realm":null}']) t.throws(() => parseStatsJson(text), { name: 'SyntaxError' }, text);
  t.end();
});
