import t from 'tap';
import { printable } from '../../src/cli/story/printable.js';

t.test('what moves the cursor or turns the direction of a text is shown as something else, and writing of any language is not', (t) => {
  t.equal(printable('uploads/\u001b[2Ja\u009bb\nc\u2028d\u202egpj.exe'), 'uploads/\ufffd[2Ja\ufffdb\ufffdc\ufffdd\ufffdgpj.exe');
  for (const name of ['日本語 é.png', 'نیم‌فاصله.txt', '👩‍👩‍👧.jpg']) t.equal(printable(name), name);
  t.end();
});
