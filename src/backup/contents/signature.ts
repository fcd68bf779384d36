/**
 * Who made a backup. Encryption does not say: to encrypt, the public key is enough, and so whoever can write the store could put there a
 * backup of their own making, whose restore executes their SQL. A signature (Ed25519) of the clear list, in which every part stands with its
 * SHA-256, can be made with the secret key alone. `openssl pkeyutl -verify -rawin -pubin -inkey PUBLIC -in backup.json -sigfile backup.json.sig`
 * checks it too.
 */
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { EXIT, RealmliftError } from '../../errors.js';
import { ioReason } from '../../io-reason.js';
import { readWhole } from '../store/backup-store.js';
import type { BackupStore } from '../store/backup-store.js';

export const SIGNATURE = 'backup.json.sig';

/** Bytes of an Ed25519 signature. RFC 8032 */
const LENGTH = 64;

/** The secret key of a PEM file. @throws RealmliftError SIGN_KEY */
export function readSignKey(file: string): Promise<KeyObject> {
  return readKey(file, createPrivateKey, 'openssl genpkey -algorithm ed25519 makes one');
}

/** The public key of a PEM file. @throws RealmliftError SIGN_KEY */
export function readVerifyKey(file: string): Promise<KeyObject> {
  return readKey(file, createPublicKey, 'openssl pkey -in SECRET -pubout prints that of a secret key');
}

async function readKey(file: string, parse: (pem: Buffer) => KeyObject, hint: string): Promise<KeyObject> {
  const pem = await readFile(file).catch((cause: unknown) => {
    throw new RealmliftError('SIGN_KEY', 'usage', `cannot read ${file}: ${ioReason(cause)}`, { exit: EXIT.usage, cause });
  });
  try {
    const key = parse(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch { /* Told below: OpenSSL's own words say less. */ }
  throw new RealmliftError('SIGN_KEY', 'usage', `${file} holds no Ed25519 key in PEM, without a passphrase`, { hint, exit: EXIT.usage });
}

export function signatureOf(list: string, secret: KeyObject): Buffer {
  return sign(null, Buffer.from(list), secret);
}

/** @param list the bytes of the clear list @throws RealmliftError ORIGIN_UNPROVED */
export async function requireSignature(store: BackupStore, list: Buffer, key: KeyObject): Promise<void> {
  const signature = await readWhole(store, SIGNATURE, LENGTH).catch((cause: unknown) => {
    if ((cause as RealmliftError).code === 'PART_MISSING') throw unproved('it bears no signature', cause);
    throw cause;
  });
  if (!verify(null, list, key, signature)) throw unproved('its signature was made with another key, or its list was changed');
}

export function unproved(why: string, cause?: unknown): RealmliftError {
  return new RealmliftError('ORIGIN_UNPROVED', 'backup', `the backup is refused: ${why}`, { hint: 'it may be forged; take a copy from a place that others cannot write to', cause });
}
