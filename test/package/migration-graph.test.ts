import t from 'tap';
import { migrationLines } from '../../src/package/migration-graph.js';
import type { MigrationKey, MigrationLists } from '../../src/plan/release/python-migration.js';

type File = Partial<Record<keyof MigrationLists, readonly MigrationKey[]>>;

/** @param files `app/name` -> its lists */
function lines(files: Record<string, File>, applied: readonly string[]): Record<string, string[]> {
  const tree = new Map<string, Map<string, MigrationLists>>();
  for (const [key, lists] of Object.entries(files)) {
    const [app, name] = key.split('/') as [string, string];
    if (!tree.has(app)) tree.set(app, new Map());
    if (name !== '') tree.get(app)?.set(name, { dependencies: [], replaces: [], runBefore: [], ...lists });
  }
  return migrationLines(tree, applied.map((key) => ({ app: key.split('/')[0] as string, name: key.split('/')[1] as string })));
}

const SQUASH: Record<string, File> = {
  'a/0001_initial': {},
  'a/0002_more': { dependencies: [['a', '0001_initial']] },
  'a/0001_squashed_0002_more': { replaces: [['a', '0001_initial'], ['a', '0002_more']] },
  'a/0003_last': { dependencies: [['a', '0002_more']] },
};

t.test('applied and not, oldest first', (t) => {
  t.strictSame(lines({ 'a/0002_b': { dependencies: [['a', '0001_a']] }, 'a/0001_a': {}, 'b/': {} }, ['a/0001_a', 'a/0009_of_nowhere']), { a: ['[X] 0001_a', '[ ] 0002_b'], b: ['(no migrations)'] });
  t.end();
});

t.test('a squashed migration stands for what it replaces when all or none of it is applied', (t) => {
  t.strictSame(lines(SQUASH, ['a/0001_initial', 'a/0002_more', 'a/0001_squashed_0002_more', 'a/0003_last']).a, ['[X] 0001_squashed_0002_more (2 squashed migrations)', '[X] 0003_last']);
  t.strictSame(lines(SQUASH, []).a, ['[ ] 0001_squashed_0002_more (2 squashed migrations)', '[ ] 0003_last']);
  t.strictSame(lines(SQUASH, ['a/0001_initial', 'a/0002_more']).a, ['[-] 0001_squashed_0002_more (2 squashed migrations)', '[ ] 0003_last'], 'applied but not recorded');
  t.strictSame(lines(SQUASH, ['a/0001_squashed_0002_more']).a, ['[ ] 0001_squashed_0002_more (2 squashed migrations)', '[ ] 0003_last'], 'recorded alone it does not count');
  t.strictSame(lines(SQUASH, ['a/0001_initial', 'a/0001_squashed_0002_more']).a, ['[X] 0001_initial', '[ ] 0002_more', '[ ] 0003_last'], 'partly applied it is dropped');
  t.end();
});

t.test('what depends on a squashed migration that is dropped depends on the last that it would replace', (t) => {
  const files: Record<string, File> = { ...SQUASH, 'a/0003_last': { dependencies: [['a', '0001_squashed_0002_more']] } };
  t.strictSame(lines(files, ['a/0001_initial']).a, ['[X] 0001_initial', '[ ] 0002_more', '[ ] 0003_last']);
  t.end();
});

t.test('replaced migrations need not exist, and may belong to another app', (t) => {
  const files: Record<string, File> = {
    'old/0001_a': {},
    'new/0001_squashed_0001_a': { replaces: [['old', '0001_a'], ['older', '0001_a']] },
    'new/0002_b': { dependencies: [['older', '0001_a']] },
  };
  t.strictSame(lines(files, ['old/0001_a', 'older/0001_a', 'new/0001_squashed_0001_a']), { new: ['[X] 0001_squashed_0001_a (2 squashed migrations)', '[ ] 0002_b'], old: ['(no migrations)'] });
  t.throws(() => lines({ 'a/0002_b': { dependencies: [['a', '0001_gone']] } }, []), { message: /0001_gone, which does not exist/ });
  t.strictSame(lines({ 'a/0001_a': { dependencies: [['library', '0001_unread']] } }, []), { a: ['[ ] 0001_a'] }, 'an app that is not in the tree is left alone');
  t.end();
});

t.test('branches come in the order of Django\'s search, the last parent first', (t) => {
  const files: Record<string, File> = {
    'a/0001_a': {}, 'a/0002_b': { dependencies: [['a', '0001_a']] }, 'a/0005_backport': { dependencies: [['a', '0001_a']] },
    'a/0006_merge': { dependencies: [['a', '0002_b'], ['a', '0005_backport']] },
  };
  t.strictSame(lines(files, []).a, ['[ ] 0001_a', '[ ] 0005_backport', '[ ] 0002_b', '[ ] 0006_merge']);
  t.end();
});

t.test('dependencies across apps decide no line but the order', (t) => {
  const files: Record<string, File> = {
    'a/0001_a': { dependencies: [['b', '__first__']] }, 'a/0002_b': { runBefore: [['b', '0002_b']], dependencies: [['a', '__first__'], ['a', '0001_a']] },
    'b/0001_a': {}, 'b/0002_b': { dependencies: [['b', '0001_a'], ['a', '__latest__']] },
  };
  t.strictSame(lines(files, ['b/0001_a']), { a: ['[ ] 0001_a', '[ ] 0002_b'], b: ['[X] 0001_a', '[ ] 0002_b'] });
  t.end();
});
