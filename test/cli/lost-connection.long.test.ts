/**
 * Connections that are cut at random moments, by the network and by the server. KILL_ROUNDS says how often for each command, KILL_SEED
 * which moments.
 */
import t from 'tap';
import { NEEDS_PG_DUMP } from '../backup/test-backup.js';
import { one, randomFrom } from '../export/realm-history.js';
import { cutAfter, withCutCommands } from './cut-commands.js';

const ROUNDS = Number(process.env.KILL_ROUNDS ?? 40);
const SEED = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 2 ** 31));

t.test(`cut at random moments, KILL_SEED=${SEED}`, NEEDS_PG_DUMP, (t) => withCutCommands(t.testdir({}), async (commands) => {
  const random = randomFrom(SEED);
  for (const [name, command] of Object.entries(commands)) {
    const { sent, code } = await cutAfter(t, name, command, Infinity, 'reset');
    t.equal(code, 0, `${name}: not cut`);
    for (let round = 0; round < ROUNDS; round++) await cutAfter(t, name, command, 1 + random(sent), one(['reset', 'terminate'], random));
  }
}));
