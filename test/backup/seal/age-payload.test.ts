import { randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Decrypter, Encrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import t from 'tap';
import { Recipients, headerOpener, openIdentityFile } from '../../../src/backup/seal/age-keys.js';
import { AgeDecrypt, ageEncrypt } from '../../../src/backup/seal/age-payload.js';

const CHUNK = 65536;
/** Around the chunk boundaries, where the last-chunk flag is decided. */
const SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17, 4 * CHUNK, 9 * CHUNK + 1];

async function key(): Promise<{ identity: string; recipient: string }> {
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}

function cutInto(bytes: Uint8Array, pieces: number): Readable {
  return Readable.from(Array.from({ length: Math.ceil(bytes.length / pieces) }, (_, n) => Buffer.from(bytes.subarray(n * pieces, (n + 1) * pieces))));
}

async function encrypted(bytes: Uint8Array, recipients: Recipients): Promise<Buffer> {
  const out: Buffer[] = [];
  for await (const piece of ageEncrypt(await recipients.header(), cutInto(bytes, 5000))) out.push(Buffer.from(piece));
  return Buffer.concat(out);
}

async function through(bytes: Uint8Array, transform: AgeDecrypt, pieces = 5000): Promise<Buffer> {
  const out = new PassThrough();
  const [result] = await Promise.all([buffer(out), pipeline(cutInto(bytes, pieces), transform, out)]);
  return result;
}

t.test('the age library opens what is written here', async (t) => {
  const { identity, recipient } = await key();
  const other = await key();
  const recipients = Recipients.of([other.recipient, recipient]);
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  for (const size of SIZES) {
    const plain = randomBytes(size);
    const sealed = await encrypted(plain, recipients);
    t.ok(plain.equals(await decrypter.decrypt(sealed)), `${size} bytes`);
  }
});

t.test('each of several recipients opens it, of whichever kind', async (t) => {
  const keys = await Promise.all([key(), key(), key()]);
  const hybrid = await generateHybridIdentity();
  const plain = randomBytes(100);
  for (const identities of [[keys[0].identity], keys.map(({ identity }) => identity), [hybrid, ...keys.map(({ identity }) => identity)]]) {
    const recipients = Recipients.of(await Promise.all(identities.map((identity) => identityToRecipient(identity))));
    const sealed = await encrypted(plain, recipients);
    for (const identity of identities) {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      t.ok(plain.equals(await decrypter.decrypt(sealed)), `${identities.length} recipients`);
    }
  }
});

t.test('too many recipients are refused: nothing here would open their headers', async (t) => {
  const hybrid = await identityToRecipient(await generateHybridIdentity());
  const many = Array.from({ length: 50 }, () => hybrid);
  t.ok((await Recipients.of([hybrid]).header()).header.length > 65536 / many.length);
  await t.rejects(many.reduce((all, each) => all.with(each), Recipients.of([hybrid])).header(), { code: 'RECIPIENT_INVALID', message: /51 recipients/, exit: 2 });
});

t.test('what the age library wrote is opened here, however it is cut', async (t) => {
  const { identity, recipient } = await key();
  const encrypter = new Encrypter();
  encrypter.addRecipient((await key()).recipient);
  encrypter.addRecipient(recipient);
  for (const size of SIZES) {
    const plain = randomBytes(size);
    const sealed = await encrypter.encrypt(plain);
    for (const pieces of [37, CHUNK + 16, sealed.length]) {
      t.ok(plain.equals(await through(sealed, new AgeDecrypt(headerOpener([identity])), pieces)), `${size} bytes in pieces of ${pieces}`);
    }
  }
});

t.test('a fresh file key for every part', async (t) => {
  const recipients = Recipients.of([(await key()).recipient]);
  const [a, b] = [await recipients.header(), await recipients.header()];
  t.notSame(a.fileKey, b.fileKey);
});

t.test('damage is found', async (t) => {
  const { identity, recipient } = await key();
  const open = headerOpener([identity]);
  const sealed = await encrypted(randomBytes(2 * CHUNK), Recipients.of([recipient]));
  const payload = sealed.length - 2 * (CHUNK + 16) - 16;

  for (let at = 0; at < sealed.length; at += at < payload + 40 ? 1 : 9973) {
    const damaged = Buffer.from(sealed);
    damaged[at] = (damaged[at] as number) ^ 1;
    await t.rejects(through(damaged, new AgeDecrypt(open)), `flipped bit at ${at}`);
  }
  for (const length of [0, 10, payload, payload + 16, payload + 20, payload + 16 + CHUNK + 16, sealed.length - 1]) {
    await t.rejects(through(sealed.subarray(0, length), new AgeDecrypt(open)), `cut to ${length} bytes`);
  }
  await t.rejects(through(Buffer.concat([sealed, Buffer.from('x')]), new AgeDecrypt(open)), { message: /does not authenticate/ }, 'one byte more');

  const first = sealed.subarray(payload + 16, payload + 16 + CHUNK + 16);
  const second = sealed.subarray(payload + 16 + CHUNK + 16);
  await t.rejects(through(Buffer.concat([sealed.subarray(0, payload + 16), second, first]), new AgeDecrypt(open)), { message: /does not authenticate/ }, 'chunks in another order');
});

t.test('the wrong key is told from damage', async (t) => {
  const sealed = await encrypted(randomBytes(10), Recipients.of([(await key()).recipient]));
  await t.rejects(through(sealed, new AgeDecrypt(headerOpener([(await key()).identity]))), { code: 'KEY_WRONG' });
});

t.test('under a passphrase', async (t) => {
  const recipients = await Recipients.ofPassphrase('correct horse battery staple');
  const sealed = await encrypted(Buffer.from('rows'), recipients);
  const identities = await openIdentityFile(recipients.identityFile as Uint8Array, 'correct horse battery staple');
  t.equal((await through(sealed, new AgeDecrypt(headerOpener(identities)))).toString(), 'rows');
});

t.test('what is no public key is refused, and a secret key is not repeated', async (t) => {
  const { identity } = await key();
  t.throws(() => Recipients.of([]), { code: 'RECIPIENT_MISSING', exit: 2 });
  t.throws(() => Recipients.of(['age1notakey']), { code: 'RECIPIENT_INVALID', exit: 2 });
  try {
    Recipients.of([identity]);
    t.fail('accepted a secret key');
  } catch (error) {
    t.match(error, { code: 'RECIPIENT_INVALID' });
    t.notOk((error as Error).message.includes(identity.slice(16, 40)));
  }
});
