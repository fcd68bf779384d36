/** A command whose connections are cut says so in one line, and never ends without a word. `make test-kill` cuts at many moments. */
import t from 'tap';
import { NEEDS_PG_DUMP } from '../backup/test-backup.js';
import { cutAfter, withCutCommands } from './cut-commands.js';

t.setTimeout(300_000);

t.test('cut in the midst', NEEDS_PG_DUMP, (t) => withCutCommands(t.testdir({}), async (commands) => {
  for (const [name, command] of Object.entries(commands)) {
    for (const [index, pieces] of command.moments.entries()) {
      const { code } = await cutAfter(t, name, command, pieces, index === 0 ? 'reset' : 'terminate');
      t.equal(code, 1, `${name}: before its end`);
    }
  }
}));
