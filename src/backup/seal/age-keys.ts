/**
 * Who can read a backup: recipients when it is written, identities when it is read. Keys are the age library's work, and so are headers but
 * for those of X25519 alone, see age-header.ts.
 *
 * A backup under a passphrase is encrypted to a fresh X25519 key, and that key's identity file to the passphrase, as
 * `age-keygen | age -p` would do it: the passphrase is stretched once, not once for every part.
 */
import { readFile } from 'node:fs/promises';
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { EXIT, RealmliftError } from '../../errors.js';
import { ioReason } from '../../io-reason.js';
import { x25519Header, x25519Recipient } from './age-header.js';
import type { X25519Recipient } from './age-header.js';
import { AgeFormatError, LONGEST_HEADER } from './age-payload.js';
import type { AgeHeader, OpenHeader } from './age-payload.js';

/**
 * log2 of scrypt's cost: 128 MiB of memory. OWASP's recommended minimum; age's own default of 18 would by itself take 256 MiB.
 * https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt
 */
const SCRYPT_LOG_N = 17;

/** Nonce and the tag of the empty chunk: the payload of an age file without content. */
const EMPTY_PAYLOAD = 32;

/** Makes the header of each part: a fresh file key, wrapped for every recipient. */
export class Recipients {
  readonly #recipients: readonly string[];
  /** The same; undefined when one of them is of another kind. */
  readonly #keys: readonly X25519Recipient[] | undefined;
  /** The identity file under the passphrase, to be saved with the parts; undefined when there is no passphrase. */
  readonly identityFile: Uint8Array | undefined;

  private constructor(recipients: readonly string[], identityFile?: Uint8Array) {
    this.#recipients = recipients;
    const keys = recipients.map(x25519Recipient);
    this.#keys = keys.every((key) => key !== undefined) ? keys : undefined;
    this.identityFile = identityFile;
  }

  /**
   * @param recipients public keys, `age1…`
   * @throws RealmliftError RECIPIENT_INVALID, RECIPIENT_MISSING
   */
  static of(recipients: readonly string[]): Recipients {
    if (recipients.length === 0) {
      throw new RealmliftError('RECIPIENT_MISSING', 'usage', 'a backup is encrypted: say for whom', {
        hint: 'give a public key (age1…), a file of them, or --passphrase-file; age-keygen makes a key', exit: EXIT.usage,
      });
    }
    for (const recipient of recipients) checkRecipient(recipient);
    return new Recipients([...new Set(recipients)]);
  }

  static async ofPassphrase(passphrase: string): Promise<Recipients> {
    const identity = await generateX25519Identity();
    const encrypter = new Encrypter();
    encrypter.setScryptWorkFactor(SCRYPT_LOG_N);
    encrypter.setPassphrase(passphrase);
    return new Recipients([await identityToRecipient(identity)], await encrypter.encrypt(`${identity}\n`));
  }

  /** Public keys: of a passphrase that of the pair whose secret key it protects. */
  get publicKeys(): readonly string[] {
    return this.#recipients;
  }

  /** The same recipients and one more. */
  with(recipient: string): Recipients {
    return new Recipients([...this.#recipients, recipient], this.identityFile);
  }

  /** @throws RealmliftError RECIPIENT_INVALID when there are too many of them */
  async header(): Promise<AgeHeader> {
    const made = this.#keys === undefined ? await this.#libraryHeader() : x25519Header(this.#keys);
    if (made.header.length <= LONGEST_HEADER) return made;
    throw new RealmliftError('RECIPIENT_INVALID', 'usage', `${this.#recipients.length} recipients are too many`, { hint: 'give fewer of them: each part has its key wrapped for every one', exit: EXIT.usage });
  }

  async #libraryHeader(): Promise<AgeHeader> {
    let fileKey: Uint8Array | undefined;
    const encrypter = new Encrypter();
    for (const recipient of this.#recipients) encrypter.addRecipient(recipient);
    encrypter.addRecipient({
      wrapFileKey: (key) => {
        fileKey = key;
        return [];
      },
    });
    const empty = await encrypter.encrypt(new Uint8Array(0));
    return { header: Buffer.from(empty.subarray(0, empty.length - EMPTY_PAYLOAD)), fileKey: fileKey as unknown as Uint8Array };
  }
}

/** The public keys of a recipients file: one per line, `#` begins a comment line. */
export async function readRecipientsFile(file: string): Promise<string[]> {
  return lines(await readKeyFile(file));
}

/** A passphrase from a file: its first line. */
export async function readPassphraseFile(file: string): Promise<string> {
  const passphrase = (await readKeyFile(file)).split(/\r?\n/)[0] ?? '';
  if (passphrase === '') throw new RealmliftError('PASSPHRASE_EMPTY', 'usage', `the passphrase file ${file} begins with an empty line`, { exit: EXIT.usage });
  return passphrase;
}

/**
 * The secret keys of an identity file as age-keygen writes it.
 *
 * @throws RealmliftError IDENTITY_INVALID
 */
export async function readIdentityFile(file: string): Promise<string[]> {
  return identities(await readKeyFile(file), file);
}

/**
 * The secret keys inside an identity file that a passphrase protects.
 *
 * @throws RealmliftError KEY_WRONG when the passphrase does not open it
 */
export async function openIdentityFile(sealed: Uint8Array, passphrase: string): Promise<string[]> {
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  const text = await decrypter.decrypt(sealed, 'text').catch((cause: unknown) => {
    throw wrongKey('the passphrase does not open this backup', cause);
  });
  return identities(text, 'the identity file of the backup');
}

/** Opens headers with the given secret keys. A header that was changed may look as if made for another key: KEY_WRONG. */
export function headerOpener(secretKeys: readonly string[]): OpenHeader {
  const decrypter = new Decrypter();
  for (const key of secretKeys) decrypter.addIdentity(key);
  return async (header) =>
    decrypter.decryptHeader(header).catch((cause: unknown) => {
      if ((cause as Error).message.includes('no identity matched')) throw wrongKey('none of the given keys opens this backup', cause);
      throw new AgeFormatError('its header is not in order', { cause });
    });
}

function wrongKey(message: string, cause: unknown): RealmliftError {
  return new RealmliftError('KEY_WRONG', 'restore', message, { hint: 'was it made for another recipient, or under another passphrase?', cause });
}

function checkRecipient(recipient: string): void {
  try {
    new Encrypter().addRecipient(recipient);
  } catch {
    const secret = recipient.toUpperCase().includes('SECRET');
    // A secret key given by mistake must not be repeated in a log.
    throw new RealmliftError('RECIPIENT_INVALID', 'usage', secret ? 'a secret key was given where a public key belongs' : `"${recipient.slice(0, 80)}" is no age public key`, {
      hint: secret ? 'give the line that begins with age1…, and keep the secret key off this machine' : 'it begins with age1…; age-keygen -y KEYFILE prints it', exit: EXIT.usage,
    });
  }
}

function identities(text: string, file: string): string[] {
  const keys = lines(text);
  try {
    if (keys.length === 0) throw new Error('no key');
    headerOpener(keys);
    return keys;
  } catch {
    throw new RealmliftError('IDENTITY_INVALID', 'usage', `${file} holds no age secret key`, { hint: 'it is the file that age-keygen wrote: a line AGE-SECRET-KEY-1…', exit: EXIT.usage });
  }
}

async function readKeyFile(file: string): Promise<string> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new RealmliftError('KEY_FILE', 'usage', `cannot read ${file}: ${ioReason(cause)}`, { exit: EXIT.usage, cause });
  });
  return bytes.toString('utf8');
}

function lines(text: string): string[] {
  return text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}
