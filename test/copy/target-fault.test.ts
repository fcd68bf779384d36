/** What is said of a target that fails: by its own reason, or by what became of the connection. */
import t from 'tap';
import { targetFault } from '../../src/copy/target-fault.js';
import { noteLoss } from '../../src/lost-connection.js';

const broken = (code: string): Error => Object.assign(new Error(`write ${code}`), { code, syscall: 'write' });
const lost = (error: Error): Error => {
  noteLoss(error);
  return error;
};
const refused = (code: string, more: object = {}): Error => Object.assign(new Error('a value of the row'), { code, severity: 'ERROR', ...more });

t.test('a connection that broke, also where its code looks like a SQLSTATE', (t) => {
  for (const code of ['EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH']) t.match(targetFault(lost(broken(code)), 'zerver_message', 'load'), { code: 'CONNECTION_LOST', table: 'zerver_message' }, code);
  t.match(targetFault(lost(new Error('Connection terminated unexpectedly')), 'zerver_message', 'load'), { code: 'CONNECTION_LOST' });
  t.match(targetFault(refused('57P01', { severity: 'FATAL' }), 'zerver_message', 'load'), { code: 'CONNECTION_LOST' });
  t.match(targetFault(refused('57P01', { severity: 'ВАЖНО' }), 'zerver_message', 'load'), { code: 'CONNECTION_LOST' }, 'in the language of the server');
  t.end();
});

t.test('a server that refuses, without what the row holds', (t) => {
  t.match(targetFault(refused('23505', { constraint: 'some_key' }), 'zerver_message', 'load'), { code: 'ROWS_REFUSED', message: /^the new server refuses the rows \(SQLSTATE 23505: the constraint some_key is violated\)$/ });
  t.match(targetFault(refused('22001'), 'zerver_message', 'load'), { code: 'ROWS_REFUSED', message: /\(SQLSTATE 22001\)$/ });
  t.match(targetFault(refused('40P01'), 'zerver_message', 'load'), { code: 'LOCK_TIMEOUT', again: true });
  t.match(targetFault(refused('42501'), 'the last step', 'split'), { code: 'RIGHT_MISSING', table: undefined, hint: /^split as the owner/ });
  t.end();
});

t.test('what is neither is left as it is', (t) => {
  const fault = new TypeError('undefined is no function');
  t.equal(targetFault(fault, 'zerver_message', 'load'), fault);
  const pipe = broken('EPIPE');
  t.equal(targetFault(pipe, 'zerver_message', 'load'), pipe, 'a socket or pipe that is no connection to a database');
  t.end();
});
