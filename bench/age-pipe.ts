/** `age -r RECIPIENT` by the age library, from standard input to standard output: the pipe that a backup is compared with. */
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { pipeline } from 'node:stream/promises';
import { Encrypter } from 'age-encryption';

const encrypter = new Encrypter();
encrypter.addRecipient(process.argv[2] as string);
const sealed = await encrypter.encrypt(Readable.toWeb(process.stdin) as globalThis.ReadableStream<Uint8Array>);
await pipeline(Readable.fromWeb(sealed as ReadableStream<Uint8Array>), process.stdout);
